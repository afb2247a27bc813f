"""What a benchmark will do: models, tasks, seeds, the search and the budget of steps, by preset."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from desa.benchmark.registry import ABLATIONS, MODELS, SPECS, ModelSpec
from desa.benchmark.training import Choice
from desa.errors import SettingsError

TEMPERATURES = (0.05, 0.2)


@dataclass(frozen=True)
class Budget:
    """How much is spent on each model.

    Parameters
    ----------
    steps
        Of the alignment, the same for every model, trial and seed.
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
    """The search of one model: as many trials with a temperature as without."""
    if tempered:
        return [Choice(rate, heat) for rate in budget.learning_rates for heat in TEMPERATURES]
    between = [rate / 3**0.5 for rate in budget.learning_rates]
    return [Choice(rate) for rate in sorted([*budget.learning_rates, *between])]


@dataclass(frozen=True)
class Plan:
    """Everything a benchmark folder is made for; another plan needs another folder.

    Parameters
    ----------
    preset, seeds, budget
        Settings' preset, number of seeds, and what is spent.
    models, ablations, tasks
        Names.
    """

    preset: str
    seeds: int
    budget: Budget
    models: tuple[str, ...]
    ablations: tuple[str, ...]
    tasks: tuple[str, ...]

    def specs(self) -> list[ModelSpec]:
        """Models, then ablations."""
        return [SPECS[name] for name in (*self.models, *self.ablations)]

    def seeds_of(self, spec: ModelSpec) -> range:
        """Seeds of a model."""
        return range(min(self.seeds, self.budget.ablation_seeds) if spec.group == "ablation" else self.seeds)

    def identity(self) -> dict[str, Any]:
        """What must not change when a run is taken up again: not the choice of parts, nor more seeds."""
        return {"preset": self.preset, "budget": asdict(self.budget)}


def make_plan(
    preset: str, seeds: int, tasks: Sequence[str], only: Sequence[str] = (), steps: int | None = None
) -> Plan:
    """A plan of all, or of what `only` names.

    Parameters
    ----------
    preset
        Of the settings and the budget.
    seeds
        How many.
    tasks
        Names of all tasks there are.
    only
        Names of tasks and of models or ablations; no task named means all, no model named means all.
    steps
        In place of the budget's.

    Raises
    ------
    SettingsError
        For a name that is neither.
    """
    known = {*tasks, *SPECS, "ablations"}
    wrong = [name for name in only if name not in known]
    if wrong:
        raise SettingsError(
            f"--only {wrong[0]}: no such task or model; tasks: {', '.join(tasks)}; "
            f"models: {', '.join(spec.name for spec in MODELS)}; ablations: "
            f"{', '.join(spec.name for spec in ABLATIONS)}"
        )
    if seeds < 1:
        raise SettingsError(f"--seeds {seeds}: at least 1 is needed")
    budget = BUDGETS[preset]
    if steps is not None:
        budget = Budget(steps, budget.learning_rates, budget.ablation_seeds)
    chosen = [name for name in only if name in SPECS or name == "ablations"]
    named = tuple(name for name in only if name in tasks) or tuple(tasks)

    def wanted(spec: ModelSpec) -> bool:
        return not chosen or spec.name in chosen or (spec.group == "ablation" and "ablations" in chosen)

    return Plan(
        preset,
        seeds,
        budget,
        tuple(spec.name for spec in MODELS if wanted(spec)),
        tuple(spec.name for spec in ABLATIONS if wanted(spec)),
        named,
    )
