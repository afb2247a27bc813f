"""Damaged files of every layout, by the thousand: ``make hostile``, or ``python campaign.py --cases 500``.

Each case damages a good file by a fixed seed and reads it as the commands do. Counted: refused (in one
sentence), accepted unharmed (the damage is outside what is used), accepted silently (other numbers, nothing
said), and what must not happen: tracebacks, hangs, absurd numbers, memory. Exit code 1 if any of these did.
"""

from __future__ import annotations

import argparse
import gzip
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from desa.errors import FileRefused
from desa.io.registry import glances, read
from desa.types import LightCurve, Spectrum
from helpers.samples import write_quarter, write_spectrum

LONGEST_S = 10
MOST_BYTES = 2 << 30
Rng = np.random.Generator
VALUES = (
    *(b"-1", b"0", b"99999999999999", b"1E308", b"-1E308", b"NaN", b"T", b"F"),
    *(b"'x'", b"''", b"''' ", b""),
)
"""What a damaged card says."""


def cut(raw: bytes, rng: Rng) -> bytes:
    return raw[: int(rng.integers(len(raw)))]


def flip(raw: bytes, rng: Rng) -> bytes:
    changed = bytearray(raw)
    for place in rng.integers(len(raw), size=int(rng.integers(1, 9))):
        changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def zeroed(raw: bytes, rng: Rng) -> bytes:
    start = int(rng.integers(len(raw)))
    size = int(rng.integers(1, 5760))
    return raw[:start] + bytes(len(raw[start : start + size])) + raw[start + size :]


def header(raw: bytes, rng: Rng) -> bytes:
    """Another value in one card."""
    cards = [n for n in range(0, min(len(raw), 30 * 2880), 80) if raw[n + 8 : n + 10] == b"= "]
    place = cards[int(rng.integers(len(cards)))]
    value = VALUES[int(rng.integers(len(VALUES)))]
    return raw[: place + 10] + value.rjust(20).ljust(70) + raw[place + 80 :]


def moved(raw: bytes, rng: Rng) -> bytes:
    """Blocks in another order."""
    blocks = [raw[n : n + 2880] for n in range(0, len(raw), 2880)]
    one, other = rng.integers(len(blocks), size=2)
    blocks[one], blocks[other] = blocks[other], blocks[one]
    return b"".join(blocks)


def packed(raw: bytes, rng: Rng) -> bytes:
    """A gzip stream that is damaged."""
    stream = gzip.compress(raw, 1, mtime=0)
    return (cut, flip)[int(rng.integers(2))](stream, rng)


DAMAGE: tuple[Callable[[bytes, Rng], bytes], ...] = (cut, flip, zeroed, header, header, moved, packed)


class Hang(BaseException):
    """A case took too long; no handler of ordinary errors may catch it."""


def same(one: LightCurve | Spectrum, other: LightCurve | Spectrum) -> bool:
    equal = type(one) is type(other) and np.array_equal(one.flux, other.flux, equal_nan=True)
    return equal and one.star_id == other.star_id


def judged(path: Path, whole: LightCurve | Spectrum) -> str:
    """What became of a damaged file."""
    try:
        glances(path)
        item = read(path)
    except FileRefused as error:
        return "refused" if len(str(error)) < 1000 and "\n" not in str(error) else "refused in many words"
    except Hang:
        return "HANG"
    except Exception as error:
        return f"TRACEBACK {type(error).__name__}: {str(error)[:80]}"
    if not item.valid.any() or not np.isfinite(item.flux[item.valid]).all():
        return "ABSURD"
    return "accepted: unharmed" if same(item, whole) else "accepted silently: other numbers"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=16_000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()

    def rings(number: int, frame: object) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, rings)
    found: Counter[str] = Counter()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        good = [write_quarter(folder / "q.fits", 100, 3), write_spectrum(folder / "s.fits", 1)]
        originals = [(path.read_bytes(), read(path)) for path in good]
        for case in range(chosen.cases):
            rng = np.random.default_rng([chosen.seed, case])
            raw, whole = originals[case % len(originals)]
            path = folder / f"case{case % 64}.fits"
            path.write_bytes(DAMAGE[case // len(originals) % len(DAMAGE)](raw, rng))
            signal.alarm(LONGEST_S)
            what = judged(path, whole)
            signal.alarm(0)
            if what[0].isupper():
                sys.stdout.write(f"case {case}: {what}\n")
            found[what.split(" ")[0] if what[0].isupper() else what] += 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sys.stdout.write(f"{chosen.cases} tried, seed {chosen.seed}, {time.monotonic() - begun:.0f} s\n")
    for what, count in sorted(found.items()):
        sys.stdout.write(f"{count:7d} {what}\n")
    sys.stdout.write(f"{peak / 1e6:.0f} MB at most\n")
    return int(peak > MOST_BYTES or any(what[0].isupper() for what in found))


if __name__ == "__main__":
    sys.exit(main())
