"""Kinds of damage to the bytes of any file: how each spoils them, by a random generator of a fixed seed."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable

import numpy as np

Rng = np.random.Generator
Damage = Callable[[bytes, Rng], bytes]
PAGE = b"<!DOCTYPE html><html><body>503 Service Unavailable</body></html>\n"


def at(raw: bytes, rng: Rng, size: int = 1) -> int:
    """A random place; of blocks of a disk, where one begins."""
    place = int(rng.integers(max(1, len(raw))))
    return place // size * size if size >= 512 else place


def cut_to(share: float) -> Damage:
    return lambda raw, rng: raw[: int(share * len(raw))]


def cut_after(count: int) -> Damage:
    return lambda raw, rng: raw[:count]


def ends_early(count: int) -> Damage:
    return lambda raw, rng: raw[:-count]


def begins_late(count: int) -> Damage:
    return lambda raw, rng: raw[count:]


def lost(count: int) -> Damage:
    return lambda raw, rng: raw[: (place := at(raw, rng, count))] + raw[place + count :]


def added(count: int) -> Damage:
    return lambda raw, rng: raw[: (place := at(raw, rng))] + rng.bytes(count) + raw[place:]


def flipped(count: int, start: int = 0, stop: int | None = None) -> Damage:
    def spoil(raw: bytes, rng: Rng) -> bytes:
        changed = bytearray(raw)
        end = min(len(raw), stop or len(raw))
        for place in rng.integers(min(start, end - 1), end, size=count):
            changed[place] ^= 1 << int(rng.integers(8))
        return bytes(changed)

    return spoil


def filled(count: int, what: Callable[[int, Rng], bytes]) -> Damage:
    def spoil(raw: bytes, rng: Rng) -> bytes:
        place = at(raw, rng, count)
        size = len(raw[place : place + count])
        return raw[:place] + what(size, rng) + raw[place + size :]

    return spoil


def swapped(size: int) -> Damage:
    def spoil(raw: bytes, rng: Rng) -> bytes:
        blocks = [raw[n : n + size] for n in range(0, len(raw), size)]
        one, other = rng.integers(len(blocks), size=2)
        blocks[one], blocks[other] = blocks[other], blocks[one]
        return b"".join(blocks)

    return spoil


def over_another(size: int) -> Damage:
    def spoil(raw: bytes, rng: Rng) -> bytes:
        source, target = at(raw, rng, size), at(raw, rng, size)
        block = raw[source : source + size][: len(raw) - target]
        return raw[:target] + block + raw[target + len(block) :]

    return spoil


def doubled(size: int) -> Damage:
    return lambda raw, rng: raw[: (place := at(raw, rng, size))] + raw[place : place + size] + raw[place:]


def in_words_of(size: int) -> Damage:
    """Bytes of each number in the other order, after the first header."""

    def spoil(raw: bytes, rng: Rng) -> bytes:
        end = 2880 + (len(raw) - 2880) // size * size
        body = np.frombuffer(raw[2880:end], np.uint8).reshape(-1, size)[:, ::-1]
        return raw[:2880] + body.tobytes() + raw[end:]

    return spoil


def zipped(raw: bytes, rng: Rng) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as parts:
        parts.writestr("file.fits", raw)
    return stream.getvalue()


def packed(raw: bytes) -> bytes:
    return gzip.compress(raw, 1, mtime=0)


def zeros(count: int, rng: Rng) -> bytes:
    return bytes(count)


def ones(count: int, rng: Rng) -> bytes:
    return b"\xff" * count


def noise(count: int, rng: Rng) -> bytes:
    return rng.bytes(count)


OF_BYTES: dict[str, Damage] = {
    **{f"cut at {share:.0%}": cut_to(share) for share in (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)},
    **{f"cut after {count} bytes": cut_after(count) for count in (0, 1, 80, 2879, 2880, 2881, 5760)},
    **{f"last {count} bytes lost": ends_early(count) for count in (1, 80, 2880, 5760)},
    **{f"first {count} bytes lost": begins_late(count) for count in (1, 4, 80, 2880)},
    **{f"{count} bytes lost inside": lost(count) for count in (1, 2, 4, 80, 2880)},
    **{f"{count} bytes more inside": added(count) for count in (1, 2, 4, 80, 2880)},
    **{f"{count} bits flipped": flipped(count) for count in (1, 4, 16, 64, 256, 4096)},
    **{f"{count} bits of the first header flipped": flipped(count, 0, 2880) for count in (1, 4, 16)},
    **{f"{count} bits of the headers flipped": flipped(count, 0, 14_400) for count in (1, 16)},
    **{f"{count} bits of the end flipped": flipped(count, 1 << 40) for count in (1,)},
    **{f"{count} zero bytes": filled(count, zeros) for count in (1, 16, 512, 2880, 4096, 65_536)},
    **{f"{count} bytes of ones": filled(count, ones) for count in (4, 512, 4096)},
    **{f"{count} random bytes": filled(count, noise) for count in (4, 512, 4096)},
    **{f"blocks of {size} exchanged": swapped(size) for size in (80, 512, 2880, 4096)},
    **{f"a block of {size} over another": over_another(size) for size in (512, 2880, 4096)},
    **{f"a block of {size} twice": doubled(size) for size in (512, 2880, 4096)},
    **{f"bytes of every {size} reversed": in_words_of(size) for size in (2, 4, 8)},
    "twice in one file": lambda raw, rng: raw + raw,
    "nothing but zeros": lambda raw, rng: bytes(len(raw)),
    "nothing but noise": lambda raw, rng: rng.bytes(len(raw)),
    "nothing but blanks": lambda raw, rng: b" " * len(raw),
    "zeros after the first header": lambda raw, rng: raw[:2880] + bytes(max(0, len(raw) - 2880)),
    "noise after the headers": lambda raw, rng: raw[:14_400] + rng.bytes(max(0, len(raw) - 14_400)),
    "line ends of Windows": lambda raw, rng: raw.replace(b"\n", b"\r\n"),
    "line ends of Unix": lambda raw, rng: raw.replace(b"\r", b"\n"),
    "seven bits": lambda raw, rng: bytes(byte & 0x7F for byte in raw),
    "as UTF-8": lambda raw, rng: raw.decode("latin-1").encode(),
    "unknown characters replaced": lambda raw, rng: raw.decode("utf-8", "replace").encode(),
    "base64": lambda raw, rng: base64.encodebytes(raw),
    "in capitals": lambda raw, rng: raw.upper(),
    "in small letters": lambda raw, rng: raw.lower(),
    "gzip": lambda raw, rng: packed(raw),
    "gzip of gzip": lambda raw, rng: packed(packed(raw)),
    "gzip of two parts": lambda raw, rng: packed(raw[: len(raw) // 2]) + packed(raw[len(raw) // 2 :]),
    "gzip cut": lambda raw, rng: (stream := packed(raw))[: int(rng.integers(len(stream)))],
    "gzip flipped": lambda raw, rng: flipped(4, 10)(packed(raw), rng),
    "gzip with more behind it": lambda raw, rng: packed(raw) + rng.bytes(100),
    "bzip2": lambda raw, rng: bz2.compress(raw, 1),
    "xz": lambda raw, rng: lzma.compress(raw, preset=0),
    "zip": zipped,
    "a web page": lambda raw, rng: PAGE,
    "a web page behind the half": lambda raw, rng: raw[: len(raw) // 2] + PAGE,
    "a web page over the end": lambda raw, rng: raw[: -len(PAGE)] + PAGE,
    "text before": lambda raw, rng: b"HTTP/1.1 200 OK\r\n\r\n" + raw,
    "text behind": lambda raw, rng: raw + b"\r\n--boundary--\r\n",
}
