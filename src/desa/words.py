"""Numbers of things, as people write them."""

from __future__ import annotations

from collections.abc import Collection


def counted(number: int, one: str, many: str = "") -> str:
    """``"1 star"``, ``"2 stars"``; `many` where it is not `one` with an s."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def rows_of_stars(names: Collection[str]) -> str:
    """How many stars a table's rows are of, and how many rows where these are more."""
    stars = len(set(names))
    return counted(stars, "star") if stars == len(names) else f"{len(names)} rows of {counted(stars, 'star')}"
