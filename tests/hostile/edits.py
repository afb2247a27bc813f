"""Damage that knows the format: cards of FITS headers, and columns that are written again as if right."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits

from hostile.damages import Damage, Rng

Values = np.ndarray[Any, Any]
Change = Callable[[Values, Rng], Values]
CARD = 80
SIZES = (b"NAXIS", b"NAXIS1", b"NAXIS2", b"BITPIX", b"TFIELDS", b"PCOUNT", b"GCOUNT")
SAID = (
    *(b"-1", b"0", b"99999999999999", b"1E308", b"-1E308", b"NaN", b"T", b"F"),
    *(b"'x'", b"''", b"''' ", b""),
)
"""What a damaged card says."""


def cards_of(raw: bytes, *keys: bytes) -> list[int]:
    """Places of the cards of some keywords, or of all that have a value."""
    places = (n for n in range(0, min(len(raw), 30 * 2880), CARD) if raw[n + 8 : n + 10] == b"= ")
    return [n for n in places if not keys or raw[n : n + 8].strip() in keys]


def one_of(raw: bytes, rng: Rng, *keys: bytes) -> int:
    places = cards_of(raw, *keys) or cards_of(raw)
    return places[int(rng.integers(len(places)))]


def says(value: bytes, *keys: bytes) -> Damage:
    def spoil(raw: bytes, rng: Rng) -> bytes:
        place = one_of(raw, rng, *keys)
        return raw[: place + 10] + value.rjust(20).ljust(70) + raw[place + CARD :]

    return spoil


def size_becomes(change: Callable[[int], int]) -> Damage:
    def spoil(raw: bytes, rng: Rng) -> bytes:
        place = one_of(raw, rng, *SIZES)
        value = int(raw[place + 10 : place + CARD].split(b"/")[0])
        return says(str(change(value)).encode(), raw[place : place + 8].strip())(raw, rng)

    return spoil


def card_lost(raw: bytes, rng: Rng) -> bytes:
    place = one_of(raw, rng)
    return raw[:place] + b" " * CARD + raw[place + CARD :]


def card_over_another(raw: bytes, rng: Rng) -> bytes:
    source, target = one_of(raw, rng), one_of(raw, rng)
    return raw[:target] + raw[source : source + CARD] + raw[target + CARD :]


def cards_exchanged(raw: bytes, rng: Rng) -> bytes:
    one, other = one_of(raw, rng), one_of(raw, rng)
    changed = bytearray(raw)
    changed[one : one + CARD], changed[other : other + CARD] = (
        raw[other : other + CARD],
        raw[one : one + CARD],
    )
    return bytes(changed)


def unprintable(raw: bytes, rng: Rng) -> bytes:
    place = one_of(raw, rng) + int(rng.integers(CARD))
    return raw[:place] + bytes([int(rng.integers(0x80, 0x100))]) + raw[place + 1 :]


def form_of(value: bytes) -> Damage:
    keys = tuple(b"TFORM%d" % n for n in range(1, 30))
    return says(value, *keys)


OF_CARDS: dict[str, Damage] = {
    **{f"a card says {value.decode() or 'nothing'}": says(value) for value in SAID},
    **{f"a column's form is {form}": form_of(f"'{form}'".encode()) for form in ("E", "J", "9999999E", "PE")},
    "a size is less by one": size_becomes(lambda size: size - 1),
    "a size is more by one": size_becomes(lambda size: size + 1),
    "a size is twice": size_becomes(lambda size: 2 * size),
    "a size is negative": size_becomes(lambda size: -size - 1),
    "a size is 10^9": size_becomes(lambda size: 10**9),
    "a size is 10^18": size_becomes(lambda size: 10**18),
    "a card is lost": card_lost,
    "a card over another": card_over_another,
    "two cards exchanged": cards_exchanged,
    "a byte of a card is not ASCII": unprintable,
    "END is lost": lambda raw, rng: raw.replace(b"END" + b" " * 77, b" " * 80, 1),
    "the telescope is another": says(b"'Hubble  '", b"TELESCOP"),
    "no checksums": lambda raw, rng: raw.replace(b"CHECKSUM=", b"COMMENT  ").replace(
        b"DATASUM =", b"COMMENT  "
    ),
}


def somewhere(change: Callable[[Values, Rng], Any], share: float = 0.1) -> Change:
    """Change a stretch of the samples."""

    def spoil(values: Values, rng: Rng) -> Values:
        changed, size = values.copy(), max(1, int(share * len(values)))
        place = int(rng.integers(max(1, len(values) - size)))
        new = np.asarray(change(values[place : place + size], rng))
        changed[place : place + size] = new if values.dtype.kind == "f" else np.nan_to_num(new)
        return changed

    return spoil


def half(values: Values, rng: Rng) -> Values:
    return np.where(rng.random(len(values)) < 0.5, np.nan, values)


def spikes(values: Values, rng: Rng) -> Values:
    return np.where(rng.random(len(values)) < 0.01, 1000 * values, values)


OF_VALUES: dict[str, Change] = {
    "are no numbers": lambda values, rng: np.full(len(values), np.nan),
    "are half no numbers": half,
    "are infinite here and there": lambda values, rng: np.where(
        rng.random(len(values)) < 0.1, np.inf, values
    ),
    "are zero": lambda values, rng: np.zeros(len(values)),
    "are zero in a stretch": somewhere(lambda values, rng: 0),
    "are missing in a stretch": somewhere(lambda values, rng: np.nan),
    "are constant": lambda values, rng: np.full(len(values), values[0]),
    "are constant in a stretch": somewhere(lambda values, rng: values[0]),
    "have the other sign": lambda values, rng: -values,
    "are huge": lambda values, rng: values * 1e30,
    "are tiny": lambda values, rng: values * 1e-30,
    "are byte-swapped": lambda values, rng: values.byteswap(),
    "are byte-swapped in a stretch": somewhere(lambda values, rng: values.byteswap()),
    "are reversed": lambda values, rng: values[::-1],
    "are shuffled": lambda values, rng: rng.permutation(values),
    "are sorted": lambda values, rng: np.sort(values),
    "are moved by one": lambda values, rng: np.roll(values, 1),
    "are moved by a third": lambda values, rng: np.roll(values, len(values) // 3),
    "repeat the first half": lambda values, rng: np.resize(values[: len(values) // 2 + 1], len(values)),
    "count up": lambda values, rng: np.arange(len(values)),
    "have spikes": spikes,
    "are more by one": lambda values, rng: values + 1,
    "are more by 300": lambda values, rng: values + 300,
    "are a hundredfold": lambda values, rng: values * 100,
    "are noise": lambda values, rng: rng.normal(0, 1, len(values)) * np.nanstd(values) + np.nanmean(values),
}


def changed(values: Values, change: Change, rng: Rng) -> Values:
    """Values of the same shape and type."""
    with np.errstate(all="ignore"):
        flat = np.ascontiguousarray(values.ravel(), values.dtype.newbyteorder("="))
        if flat.dtype.kind in "iu" and flat.itemsize < 4:
            flat = flat.astype("i4")
        new = np.asarray(change(flat, rng))
        if flat.dtype.kind in "iu":
            new = np.nan_to_num(new, posinf=0, neginf=0)
        return new.astype(values.dtype).reshape(values.shape)


def edit_fits(raw: bytes, change: Change, rng: Rng) -> bytes:
    """A column or row of the first part that has data, with checksums where there were some."""
    out = io.BytesIO()
    with fits.open(io.BytesIO(raw), memmap=False) as hdus:
        part = next(hdu for hdu in hdus if hdu.data is not None)
        if isinstance(part, fits.BinTableHDU):
            names = [name for name in part.data.names if part.data[name].dtype.kind in "iuf"]
            rows: Any = part.data[names[int(rng.integers(len(names)))]]
        else:
            image = part.data if part.data.shape[0] < part.data.shape[1] else part.data.T
            rows = image[int(rng.integers(len(image)))]
        rows[...] = changed(np.asarray(rows), change, rng)
        hdus.writeto(out, checksum="CHECKSUM" in hdus[0].header, output_verify="silentfix")
    return out.getvalue()


def edit_parquet(raw: bytes, change: Change, rng: Rng) -> bytes:
    table = pq.read_table(io.BytesIO(raw))
    place = int(rng.integers(table.num_columns))
    values = table.column(place).to_numpy()
    if values.dtype.kind in "iuf":
        table = table.set_column(place, table.column_names[place], pa.array(changed(values, change, rng)))
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def edit_archive(raw: bytes, change: Change, rng: Rng) -> bytes:
    with np.load(io.BytesIO(raw)) as stored:
        arrays = {name: stored[name] for name in stored.files}
    name = list(arrays)[int(rng.integers(len(arrays)))]
    arrays[name] = changed(arrays[name], change, rng)
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def edit(change: Change) -> Damage:
    def spoil(raw: bytes, rng: Rng) -> bytes:
        write = {b"SIMP": edit_fits, b"PAR1": edit_parquet}.get(raw[:4], edit_archive)
        return write(raw, change, rng)

    return spoil


EDITS: dict[str, Damage] = {f"values that {name}": edit(change) for name, change in OF_VALUES.items()}


def restructured(change: Callable[[pa.Table], pa.Table], **options: Any) -> Damage:
    def spoil(raw: bytes, rng: Rng) -> bytes:
        out = io.BytesIO()
        pq.write_table(change(pq.read_table(io.BytesIO(raw))), out, **options)
        return out.getvalue()

    return spoil


def as_text(table: pa.Table) -> pa.Table:
    return table.cast(pa.schema([(name, pa.string()) for name in table.column_names]))


def as_lists(table: pa.Table) -> pa.Table:
    last = pa.array([[value] for value in table.column(table.num_columns - 1).to_pylist()])
    return table.set_column(table.num_columns - 1, table.column_names[-1], last)


OF_TABLES: dict[str, Damage] = {
    "no rows": restructured(lambda table: table.slice(0, 0)),
    "one row": restructured(lambda table: table.slice(0, 1)),
    "every row twice": restructured(lambda table: pa.concat_tables([table, table])),
    "rows reversed": restructured(lambda table: table.take(list(range(table.num_rows))[::-1])),
    "a column lost": restructured(lambda table: table.drop_columns(table.column_names[-1:])),
    "a column twice": restructured(lambda table: table.append_column("MORE", table.column(0))),
    "columns renamed": restructured(
        lambda table: table.rename_columns([f"c{n}" for n in range(table.num_columns)])
    ),
    "numbers as text": restructured(as_text),
    "numbers as lists": restructured(as_lists),
    "numbers missing": restructured(
        lambda table: table.set_column(1, table.column_names[1], pa.nulls(table.num_rows, pa.float64()))
    ),
    "packed by brotli": restructured(lambda table: table, compression="brotli"),
    "in groups of ten rows": restructured(lambda table: table, row_group_size=10),
}
