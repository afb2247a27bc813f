"""Words that a spreadsheet takes as words: a cell of a CSV file that begins with ``=`` would be run there."""

from __future__ import annotations

import re

import numpy as np
from astropy.table import Column, MaskedColumn, Table

SPACES, SIGNS = " \u00a0\u3000", "=+\\-@＝＋－＠"
CONTROLS = "\x00-\x1f\x7f\x85\u2028\u2029"
"""Characters that end a cell or a row for one reader and not for another."""

CONTROL = re.compile(f"[{CONTROLS}]")
ODD = re.compile(f"^[{SPACES}]*[{SIGNS}]|[{CONTROLS}]")
"""What a spreadsheet takes for the beginning of a formula (the wide signs are read as the plain ones)."""


def as_words(text: str) -> str:
    """A text that a spreadsheet shows and does not run.

    Control characters (tab, carriage return, ...) become spaces; a text that looks like a formula, or began
    with such a character, gets an apostrophe in front, which spreadsheets take as "these are words" (OWASP,
    *CSV Injection*).
    """
    if not ODD.search(text):
        return text
    plain = CONTROL.sub(" ", text)
    return f"'{plain}" if ODD.match(plain) or CONTROL.match(text) else plain


def words_only(table: Table) -> Table:
    """A copy of a table whose names and words are all `as_words`; numbers are as they were."""
    changed = table.copy(copy_data=False)
    for name in table.colnames:
        column = changed[name]
        if column.dtype.kind in "US" or column.dtype == object:
            words = [value if value is np.ma.masked else as_words(str(value)) for value in column]
            mask = getattr(column, "mask", None)
            made = Column(words) if mask is None else MaskedColumn(words, mask=mask)
            made.description = column.description
            changed.replace_column(name, made)
        if as_words(name) != name:
            changed.rename_column(name, as_words(name))
    return changed
