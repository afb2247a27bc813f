"""Sections of the report, a task each: its tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from desa.benchmark.jobs import Place
from desa.benchmark.plan import Plan
from desa.benchmark.registry import ModelSpec
from desa.benchmark.results import Results
from desa.report.page import Part


class Write(Protocol):
    """Makes a section's part of the page."""

    def __call__(self, place: Place, plan: Plan, results: Results, models: Sequence[ModelSpec]) -> Part:
        """The part."""
        ...


@dataclass(frozen=True)
class Section:
    """A task and what writes its part."""

    task: str
    part: Write


SECTIONS: tuple[Section, ...] = ()
