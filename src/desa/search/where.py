"""Conditions on columns, such as ``teff > 5000 and snr_g > 30``: parsed, never run as a program.

The grammar is a part of Python's: comparisons (also chained), ``in``, ``and``, ``or``, ``not``, the four
operations, brackets, numbers, quoted words, True, False and names of columns. Whatever is missing in a row
makes a condition on it unknown, and rows of which a condition is unknown are left out, as in SQL.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from desa.documents import cut, shortened
from desa.errors import SettingsError

LONGEST: Final = 2000
"""Characters of a condition; a longer one is a mistake, or deep enough to exhaust the parser."""

DEEPEST: Final = 60

Bools = NDArray[np.bool_]

ARITHMETIC: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
COMPARISONS: Final[dict[type[ast.cmpop], Callable[[Any, Any], Any]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


@dataclass(frozen=True)
class _Truth:
    """Whether a condition holds in each row, and whether that is known; scalars stand for all rows."""

    holds: Any
    known: Any

    def __and__(self, other: _Truth) -> _Truth:
        no = (self.known & ~self.holds) | (other.known & ~other.holds)
        return _Truth(self.holds & other.holds, (self.known & other.known) | no)

    def __or__(self, other: _Truth) -> _Truth:
        return ~(~self & ~other)

    def __invert__(self) -> _Truth:
        return _Truth(~self.holds, self.known)


@dataclass(frozen=True)
class _Words:
    """Words of each row (object array, None where missing), or one word."""

    values: Any


def chosen_rows(condition: str, columns: Mapping[str, pa.Array | pa.ChunkedArray], rows: int) -> Bools:
    """Rows for which a condition is known to hold.

    Parameters
    ----------
    condition
        In the grammar of this module.
    columns
        Columns by name: numbers, truths or words.
    rows
        How many rows there are.

    Returns
    -------
    (rows,) truth.

    Raises
    ------
    SettingsError
        For what is no such condition, an unknown column, or words where numbers belong.
    """
    return _Reader(condition, columns, rows).chosen()


class _Reader:
    """Reads one condition."""

    def __init__(self, condition: str, columns: Mapping[str, pa.Array | pa.ChunkedArray], rows: int) -> None:
        self._text, self._columns, self._rows = condition, columns, rows
        self._held: dict[str, Any] = {}

    def _refuse(self, reason: str) -> SettingsError:
        return SettingsError(f"--where {shortened(self._text)}: {reason}")

    def _said(self, node: ast.expr) -> str:
        """A part of the condition as it was written; `ast.unparse` would go as deep as it is nested."""
        return cut(ast.get_source_segment(self._text.strip(), node) or self._text)

    def chosen(self) -> Bools:
        if len(self._text) > LONGEST:
            raise SettingsError(
                f"--where: a condition of {len(self._text)} characters; {LONGEST} are allowed"
            )
        try:
            tree = ast.parse(self._text.strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise self._refuse(f"not understood; {self._hint()}") from None
        with np.errstate(all="ignore"):
            found = self._truth(tree.body, 0)
        return np.broadcast_to(np.asarray(found.holds & found.known), (self._rows,)).copy()

    def _hint(self) -> str:
        bare = self._text
        for pair in ("==", "<=", ">=", "!="):
            bare = bare.replace(pair, "")
        if "=" in bare:
            return "two equal signs compare, as in binary == 1"
        if "&" in bare or "|" in bare:
            return "conditions are joined by and, or"
        return "write it as teff > 5000 and snr_g > 30"

    def _truth(self, node: ast.expr, depth: int) -> _Truth:
        found = self._value(node, depth)
        if isinstance(found, _Truth):
            return found
        if isinstance(found, _Words):
            raise self._refuse(f"{self._said(node)} is words, not a condition; compare it, as in == 'G2'")
        raise self._refuse(f"{self._said(node)} is a number, not a condition; compare it, as in > 0")

    def _number(self, node: ast.expr, depth: int) -> Any:
        return self._as_number(self._value(node, depth), node)

    def _as_number(self, found: Any, node: ast.expr) -> Any:
        if isinstance(found, _Words):
            raise self._refuse(f"{self._said(node)} is words, and can't be reckoned with")
        if isinstance(found, _Truth):
            return np.where(found.known, np.asarray(found.holds, dtype=np.float64), np.nan)
        return found

    def _value(self, node: ast.expr, depth: int) -> Any:
        if depth > DEEPEST:
            raise self._refuse("too many brackets")
        depth += 1
        match node:
            case ast.Constant(value=bool(truth)):
                return _Truth(np.bool_(truth), np.bool_(True))
            case ast.Constant(value=int() | float() as number):
                return self._constant(number)
            case ast.Constant(value=str(word)):
                return _Words(word)
            case ast.Name(id=name):
                return self._column(name)
            case ast.BoolOp(op=op, values=values):
                parts = [self._truth(value, depth) for value in values]
                total = parts[0]
                for part in parts[1:]:
                    total = total & part if isinstance(op, ast.And) else total | part
                return total
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ~self._truth(operand, depth)
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self._number(operand, depth)
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self._number(operand, depth)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
                pair = self._number(left, depth), self._number(right, depth)
                return ARITHMETIC[type(op)](*pair)
            case ast.Compare():
                return self._comparison(node, depth)
        raise self._refuse(
            f"{self._said(node)!r} has no place in a condition: columns, numbers, quoted words, "
            "comparisons, in, and, or, not, + - * / have"
        )

    def _constant(self, number: float) -> np.float64:
        try:
            return np.float64(number)
        except OverflowError:
            raise self._refuse("a number that is too large") from None

    def _comparison(self, node: ast.Compare, depth: int) -> _Truth:
        total = _Truth(np.bool_(True), np.bool_(True))
        left = node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            if isinstance(op, ast.In | ast.NotIn):
                if not isinstance(right, ast.Tuple | ast.List) or not right.elts:
                    raise self._refuse("after in comes a list, as in ('G2', 'K1')")
                part = _Truth(np.bool_(False), np.bool_(True))
                for one in right.elts:
                    part = part | self._compared(left, ast.Eq(), one, depth)
                part = part if isinstance(op, ast.In) else ~part
            else:
                part = self._compared(left, op, right, depth)
            total, left = total & part, right
        return total

    def _compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr, depth: int) -> _Truth:
        a, b = self._value(left, depth), self._value(right, depth)
        if isinstance(a, _Words) != isinstance(b, _Words):
            words, other = (left, right) if isinstance(a, _Words) else (right, left)
            raise self._refuse(f"{self._said(words)} is words and {self._said(other)} is not")
        if type(op) not in COMPARISONS:
            raise self._refuse("'is' has no place in a condition; compare by ==")
        if isinstance(a, _Words):
            if not isinstance(op, ast.Eq | ast.NotEq):
                raise self._refuse("words are compared by ==, != or in")
            known = _there(a.values) & _there(b.values)
            same = np.asarray(np.asarray(a.values, dtype=object) == np.asarray(b.values, dtype=object))
            return _Truth(same.astype(bool) if isinstance(op, ast.Eq) else ~same.astype(bool), known)
        x, y = self._as_number(a, left), self._as_number(b, right)
        return _Truth(np.asarray(COMPARISONS[type(op)](x, y)), ~(np.isnan(x) | np.isnan(y)))

    def _column(self, name: str) -> Any:
        if name not in self._columns:
            raise self._refuse(_unknown(name, list(self._columns)))
        if name not in self._held:
            self._held[name] = _read(self._columns[name])
        found = self._held[name]
        if found is None:
            raise self._refuse(f"column {name} is neither numbers nor words")
        return found


def _there(words: Any) -> Any:
    """Where there is a word; a word by itself is everywhere."""
    return np.bool_(True) if isinstance(words, str) else np.array([word is not None for word in words])


def _unknown(name: str, names: list[str]) -> str:
    lower = {known.lower(): known for known in names}
    near = lower.get(name.lower()) or next(
        (lower[found] for found in get_close_matches(name.lower(), lower, n=1, cutoff=0.5)), None
    )
    if near is not None:
        return f"no column {name!r}; did you mean {near!r}?"
    has = f"; there are {', '.join(sorted(names))}" if names else "; the table has vectors only"
    return f"no column {name!r}{has} (--survey and --labels add columns)"


def _read(column: pa.Array | pa.ChunkedArray) -> Any:
    """A column as numbers (NaN where missing), truths or words; None for anything else."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_boolean(kind):
        known = pc.is_valid(column).to_numpy(zero_copy_only=False)
        return _Truth(pc.fill_null(column, False).to_numpy(zero_copy_only=False), known)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _Words(np.asarray(column.to_numpy(zero_copy_only=False), dtype=object))
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        numbers = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return np.asarray(numbers, dtype=np.float64)
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan)
    return None
