"""What a benchmark compares, and by what: candidates and tasks, one file each, which register themselves.

A module of `desa.benchmark.candidates` ends with ``CANDIDATES.add(...)``, one of `desa.benchmark.tasks` with
``TASKS.add(...)``. Runner and page go through these registries; nothing else needs to know of a new file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from desa.benchmark.embed import Aligner
from desa.benchmark.inputs import PAIRS, Inputs, Track
from desa.benchmark.results import Results
from desa.errors import SettingsError
from desa.evaluation.score import Score
from desa.report.page import Figure

Arrays = dict[str, NDArray[np.generic]]
Embedding = dict[str, NDArray[np.float32]]

EMBEDDING, FACTS = "embedding.npz", "training.json"
"""Files of a candidate's folder: what tasks read, and what became of its training."""


Item = TypeVar("Item", "Candidate", "BenchmarkTask")


class Registry(Generic[Item]):
    """Named objects that the modules of a package add; the modules are imported at the first look."""

    def __init__(self, package: str) -> None:
        self.package, self._complete = package, False
        self._items: dict[str, Item] = {}

    def add(self, item: Item) -> Item:
        """Register an object and return it; `ValueError` if the name is taken."""
        if item.name in self._items:
            raise ValueError(f"{self.package}: two are named {item.name!r}")
        self._items[item.name] = item
        return item

    def __iter__(self) -> Iterator[Item]:
        """All, in their order."""
        if not self._complete:
            for module in iter_modules(import_module(self.package).__path__):
                import_module(f"{self.package}.{module.name}")
            self._complete = True
        return iter(sorted(self._items.values(), key=lambda item: item.order))

    def __getitem__(self, name: str) -> Item:
        """By name; `SettingsError` where there is none of that name."""
        found = {item.name: item for item in self}
        if name not in found:
            raise SettingsError(f"nothing named {name!r} in {self.package}: there are {', '.join(found)}")
        return found[name]


Group = Literal["model", "control", "reference", "ablation"]
EVERYBODY: tuple[Group, ...] = ("model", "control", "ablation")
MODELS: tuple[Group, ...] = ("model", "control")


@dataclass(frozen=True)
class Choice:
    """What the search chooses: learning rate, and temperature where the loss has one."""

    learning_rate: float
    temperature: float | None = None


@dataclass(frozen=True, eq=False)
class Candidate:
    """A row of the tables: features of the survey's stars, here without training.

    `desa.benchmark.training.Trained` is the kind that seeds and a search make sense for.

    Parameters
    ----------
    name, title, text
        In files, as the page calls it, and in one line what it is.
    order
        Place among the rows.
    group
        Models, controls, references that only some tasks have, or ablations of a model.
    track
        The stars it is made for.
    core
        It takes part in the slowest tasks, and in figures with a panel a candidate.
    drawn
        Its curve is drawn among the others'.
    also
        Names of tasks that it takes part in beside those for its group.
    """

    name: str
    title: str
    text: str
    order: float
    _: KW_ONLY
    group: Group = "model"
    track: Track = PAIRS
    core: bool = False
    drawn: bool = True
    also: Sequence[str] = ()

    @property
    def trained(self) -> bool:
        """Whether seeds of its training and a search make sense."""
        return False

    @property
    def slow(self) -> bool:
        """Whether its training takes much longer than others'; then it is begun first."""
        return False

    def prepare(self, inputs: Inputs) -> None:
        """Make what several processes would otherwise make side by side."""

    def fit(
        self, inputs: Inputs, choice: Choice | None, steps: int, seed: int, folder: Path
    ) -> dict[str, Any]:
        """Train it into a folder; returns facts of the training.

        Parameters
        ----------
        inputs
            What all candidates start from.
        choice, steps, seed
            Of the training; None for a candidate that is not trained.
        folder
            Its own, for weights. Taken up again, it goes on where it stopped.
        """
        return {"parameters": 0, "prior": "none", "seconds": 0.0, "collapsed": False}

    def embed(self, inputs: Inputs, seed: int, folder: Path) -> Embedding:
        """What tasks read of it: arrays named as those of `desa.benchmark.embed.embed`, a row a star.

        Parameters
        ----------
        inputs, seed, folder
            As `fit` had them.
        """
        raise NotImplementedError

    def aligner(self, inputs: Inputs, folder: Path) -> Aligner | None:
        """The model that takes both encoders' features, as `fit` left it; None where there is none."""
        return None

    def prior(self, inputs: Inputs) -> Tensor | None:
        """(N, k) prior of the stars; None where it has none."""
        return None

    def given(self, inputs: Inputs) -> Sequence[str]:
        """Labels that are in the candidate's input, so that predicting them shows nothing."""
        return ()


Drawn = Mapping[Candidate, Arrays]
"""What tasks draw: arrays of seed 0 by candidate, in the order of the tables."""


@dataclass(frozen=True)
class Material:
    """A candidate of one seed, and where it lies: what tasks work on. The seed is that of their draws too."""

    inputs: Inputs
    candidate: Candidate
    folder: Path
    seed: int

    @cached_property
    def _arrays(self) -> Embedding:
        with np.load(self.folder / EMBEDDING) as stored:
            return {name: stored[name] for name in stored.files}

    def array(self, name: str) -> NDArray[np.float32]:
        """An array that the candidate's `embed` gave; (N, 0) where it gave none of that name."""
        return self._arrays.get(name, np.zeros((len(self.inputs.stars), 0), dtype=np.float32))

    @property
    def joint(self) -> NDArray[np.float32]:
        """(N, D) the embedding."""
        return self.array("joint")

    @property
    def head(self) -> NDArray[np.float32]:
        """(N, 2 d) what a fine-tuning head reads: both halves side by side."""
        return np.concatenate([self.array("head_spectrum"), self.array("head_lightcurve")], axis=1)


@dataclass(frozen=True)
class TaskResult:
    """Scores of a task for one candidate of one seed; if there are none, the reason.

    The arrays, ``<label>/truth``, ``<label>/predicted`` and the like, are for figures and paired tests.
    """

    scores: Sequence[Score]
    arrays: Arrays = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, and which score it shows with how many digits."""

    heading: str
    label: str
    metric: str
    part: str = ""
    digits: int = 3


@dataclass(frozen=True)
class Published:
    """A number of the paper (in which table or figure), the key of ours, and what differs between the two."""

    label: str
    metric: str
    model: str
    value: float
    where: str
    differs: str
    unit: str = ""
    part: str = ""


@dataclass(frozen=True, eq=False)
class BenchmarkTask:
    """A section of the page: what is done with every candidate, and how it is shown.

    Parameters
    ----------
    name, title, text
        In files, its heading, and what was done.
    order
        Place among the sections.
    track
        The stars it is done on, of which kind of survey.
    groups, only
        Whom it is done for: groups of candidates, or single ones by name; beside them, candidates name tasks
        themselves in `Candidate.also`.
    caption, columns
        Of its table.
    tables
        Further tables: captions and columns.
    tested
        Label -> metric by which the track's subject is tested against the others.
    paper
        What the paper reports.
    encoders
        Encoders to pre-train beside the shared ones: name -> share of the supervised loss.
    ablations
        Title and text of a part of its own for the ablations' table; without, it is folded into the section.
    """

    name: str
    title: str
    text: str
    order: float
    _: KW_ONLY
    track: Track = PAIRS
    groups: tuple[Group, ...] = EVERYBODY
    only: Sequence[str] = ()
    caption: str = ""
    columns: Sequence[Column] = ()
    tables: Sequence[tuple[str, Sequence[Column]]] = ()
    tested: Mapping[str, str] = field(default_factory=dict)
    paper: Sequence[Published] = ()
    encoders: Mapping[str, float] = field(default_factory=dict)
    ablations: tuple[str, str] | None = None

    def wants(self, candidate: Candidate) -> bool:
        """Whether the task is done for a candidate."""
        if candidate.track != self.track:
            return False
        invited = candidate.name in self.only if self.only else candidate.group in self.groups
        return invited or self.name in candidate.also

    def prepare(self, inputs: Inputs) -> None:
        """Make what several processes would otherwise make side by side."""

    def run(self, material: Material) -> TaskResult:
        """The work, for one candidate of one seed.

        Raises
        ------
        ValueError, DesaError
            If it can't be done; the cell then says why.
        """
        raise NotImplementedError

    def figures(self, arrays: Drawn, data: str) -> list[Figure]:
        """Figures of the section.

        Parameters
        ----------
        arrays
            What `run` gave of seed 0, by candidate in the order of the tables; not of those that have none.
        data
            What the data are, for captions.
        """
        return []

    def finding(self, results: Results) -> str:
        """The result in one sentence, made from the numbers; empty where there is none."""
        return ""


CANDIDATES: Registry[Candidate] = Registry("desa.benchmark.candidates")
TASKS: Registry[BenchmarkTask] = Registry("desa.benchmark.tasks")
