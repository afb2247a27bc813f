"""What a benchmark will do: candidates, tasks, seeds, the search and the budget of steps, by preset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from desa.benchmark.base import CANDIDATES, TASKS, BenchmarkTask, Candidate, Choice
from desa.benchmark.inputs import PAIRS, Track
from desa.errors import SettingsError

TEMPERATURES = (0.05, 0.2)


@dataclass(frozen=True)
class Budget:
    """How much is spent on each candidate.

    Parameters
    ----------
    steps
        Of the alignment, the same for every candidate, trial and seed.
    learning_rates
        Tried with each temperature, or, for losses without one, filled up to as many trials.
    ablation_seeds
        Seeds of the ablations.
    """

    steps: int
    learning_rates: tuple[float, ...]
    ablation_seeds: int


BUDGETS = {
    "mini": Budget(160, (1e-3, 3e-3), 1),
    "small": Budget(2000, (3e-4, 1e-3, 3e-3), 3),
    "published": Budget(20000, (2e-5, 1e-4, 5e-4), 3),
}


def trials(budget: Budget, tempered: bool) -> list[Choice]:
    """The search of one candidate: as many trials with a temperature as without."""
    if tempered:
        return [Choice(rate, heat) for rate in budget.learning_rates for heat in TEMPERATURES]
    between = [rate / 3**0.5 for rate in budget.learning_rates]
    return [Choice(rate) for rate in sorted([*budget.learning_rates, *between])]


@dataclass(frozen=True)
class Design:
    """Everything a benchmark folder is made for; another design needs another folder.

    Parameters
    ----------
    preset, seeds, budget
        Settings' preset, number of seeds, and what is spent.
    candidates, tasks
        In the order of tables and page.
    """

    preset: str
    seeds: int
    budget: Budget
    candidates: tuple[Candidate, ...]
    tasks: tuple[BenchmarkTask, ...]

    def seeds_of(self, candidate: Candidate) -> range:
        """Seeds of a candidate."""
        few = candidate.group == "ablation"
        return range(min(self.seeds, self.budget.ablation_seeds) if few else self.seeds)

    def wanted(self, task: BenchmarkTask) -> list[Candidate]:
        """Candidates that a task is done for."""
        return [candidate for candidate in self.candidates if task.wants(candidate)]

    @property
    def tracks(self) -> list[Track]:
        """Stars that the tasks are done on."""
        return list(dict.fromkeys(task.track for task in self.tasks))

    def identity(self) -> dict[str, Any]:
        """What must not change when a run is taken up again: not the choice of parts, nor more seeds."""
        return {"preset": self.preset, "budget": asdict(self.budget)}


def make_design(
    preset: str,
    seeds: int,
    only: Sequence[str] = (),
    steps: int | None = None,
    suits: Callable[[Track], bool] = PAIRS.__eq__,
) -> Design:
    """A design of all that is registered for some tracks, or of what `only` names.

    Parameters
    ----------
    preset
        Of the settings and the budget.
    seeds
        How many.
    only
        Names of tasks and of candidates, or ``"ablations"``; none named of either means all of it.
    steps
        In place of the budget's.
    suits
        Whether a track can be done.

    Raises
    ------
    SettingsError
        For a name that is neither.
    """
    tasks = [task for task in TASKS if suits(task.track)]
    candidates = [candidate for candidate in CANDIDATES if suits(candidate.track)]
    names = {
        "tasks": [task.name for task in tasks],
        "models": [candidate.name for candidate in candidates if candidate.group != "ablation"],
        "ablations": [candidate.name for candidate in candidates if candidate.group == "ablation"],
    }
    for name in only:
        if name != "ablations" and not any(name in known for known in names.values()):
            said = "; ".join(f"{what}: {', '.join(known)}" for what, known in names.items())
            raise SettingsError(f"--only {name}: no such task or model; {said}")
    if seeds < 1:
        raise SettingsError(f"--seeds {seeds}: at least 1 is needed")
    budget = BUDGETS[preset] if steps is None else replace(BUDGETS[preset], steps=steps)
    chosen = [
        candidate
        for candidate in candidates
        if candidate.name in only or (candidate.group == "ablation" and "ablations" in only)
    ]
    named = [task for task in tasks if task.name in only]
    return Design(preset, seeds, budget, tuple(chosen or candidates), tuple(named or tasks))
