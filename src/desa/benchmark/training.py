"""A candidate that is trained: on the cached features, with the same budget for all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from desa.benchmark.base import FACTS, Candidate, Choice, Embedding
from desa.benchmark.documents import TrainedFacts, read_own
from desa.benchmark.embed import Aligner, embed
from desa.benchmark.inputs import Inputs
from desa.benchmark.live import LiveLoader
from desa.config import Settings, with_changes
from desa.files import written_whole
from desa.survey.selection import PRIORS, prior_of
from desa.training.alignment import effective_rank
from desa.training.loop import fit
from desa.training.pairs import PairLoader, targets_of
from desa.training.task import History, Interrupted, Task

WEIGHTS, WORK = "aligner.safetensors", "work"


def trainable(module: nn.Module) -> int:
    """Parameters that gradients move."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


@dataclass(frozen=True, eq=False, kw_only=True)
class Trained(Candidate):
    """A way to join two modalities, trained on pairs.

    Parameters
    ----------
    changes
        To the benchmark's settings.
    base
        For an ablation: the candidate whose search it uses, and which it is compared with.
    live
        Train on features computed anew from random crops at each step, not on cached ones.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    base: Trained | None = None
    live: bool = False

    @property
    def trained(self) -> bool:
        """Yes."""
        return True

    @property
    def unique_stars(self) -> bool:
        """Whether a batch holds each star once."""
        return True

    def tempered(self, inputs: Inputs) -> bool:
        """Whether the loss has a temperature to search."""
        raise NotImplementedError

    def build(self, inputs: Inputs, settings: Settings, choice: Choice | None) -> tuple[Aligner, Task]:
        """The model with random weights (of torch's current seed) and what trains it."""
        raise NotImplementedError

    def changed(self, choice: Choice | None) -> Mapping[str, Any]:
        """Changes to the settings that a choice of the search makes, beside the learning rate."""
        return {}

    @property
    def searched(self) -> Trained:
        """The candidate whose search chooses for this one."""
        return self.base or self

    @property
    def slow(self) -> bool:
        """Whether it has many tokens, or runs the encoders along; then it is begun first."""
        tokens = self.changes.get("dualformer", {}).get("tokens", "groups")
        return self.live or tokens != "groups"

    def settings(self, inputs: Inputs, choice: Choice | None = None, steps: int = 1) -> Settings:
        """The benchmark's settings with the candidate's changes, the choice and the budget."""
        training: dict[str, Any] = {"steps": steps, "validate_every": max(1, steps // 4), "patience": 0}
        if choice is not None:
            training |= {"learning_rate": choice.learning_rate}
            training |= {"final_learning_rate": 0.02 * choice.learning_rate}
        changed = with_changes(inputs.settings, dict(self.changes))
        return with_changes(changed, {"train_align": training, **self.changed(choice)})

    def fit(
        self, inputs: Inputs, choice: Choice | None, steps: int, seed: int, folder: Path
    ) -> dict[str, Any]:
        """Train it, or take up what an earlier run left; facts: loss, steps, seconds, what became of it."""
        assert choice is not None
        settings = self.settings(inputs, choice, steps)
        torch.manual_seed(seed)
        aligner, task = self.build(inputs, settings, choice)
        history = fit(
            task,
            *self._loaders(inputs, settings, seed),
            settings.train_align,
            folder / WORK,
            seed=seed,
            resume=True,
            identity={"spec": self.name, "choice": str(choice), "survey": inputs.survey.identity},
        )
        if history.stopped == "signal":
            raise Interrupted(f"stopped by {history.signal}; run the same command again to go on")
        aligner.eval()
        facts = self._facts(inputs, aligner, task, settings, choice, history)
        weights = {name: value.contiguous().clone() for name, value in aligner.state_dict().items()}
        folder.mkdir(parents=True, exist_ok=True)
        with written_whole(folder / WEIGHTS) as scratch:
            save_file(weights, scratch)
        return facts

    def embed(self, inputs: Inputs, seed: int, folder: Path) -> Embedding:
        """Every star with both modalities, by `desa.benchmark.embed.embed`."""
        aligner = self.aligner(inputs, folder)
        return embed(aligner, inputs.star_spectrum, inputs.star_lightcurve, self.prior(inputs))

    def aligner(self, inputs: Inputs, folder: Path) -> Aligner:
        """The model of a folder where `fit` left its weights, and its facts are kept."""
        facts = read_own(folder / FACTS, TrainedFacts)
        choice = Choice(facts["learning_rate"], facts["temperature"])
        aligner, _ = self.build(inputs, self.settings(inputs, choice, facts["steps"]), choice)
        aligner.load_state_dict(load_file(folder / WEIGHTS))
        return aligner.eval()

    def prior(self, inputs: Inputs) -> Tensor | None:
        """(N, k) prior of the stars; None where the settings have none."""
        prior = prior_of(inputs.survey, self.settings(inputs).dualformer.prior)
        return None if prior is None else prior[torch.from_numpy(inputs.stars.star)]

    def given(self, inputs: Inputs) -> Sequence[str]:
        """Labels of a photometric prior.

        The published prior holds Teff, log g, [Fe/H] and Prot; these are asked for all the same, to show the
        leak.
        """
        prior = self.settings(inputs).dualformer.prior
        return PRIORS[prior] if prior == "photometric" else ()

    def _loaders(
        self, inputs: Inputs, settings: Settings, seed: int
    ) -> tuple[Callable[[int], Iterable[Any]], Iterable[Any]]:
        """Endless training batches from the n-th on, and the validation batches."""
        prior, size = prior_of(inputs.survey, settings.dualformer.prior), settings.train_align.batch_size
        split, features = inputs.survey.split[inputs.pairs.star], (inputs.spectrum, inputs.lightcurve)
        training, valid = inputs.pairs.where(split == "train"), inputs.stars.where(inputs.split == "valid")
        targets = targets_of(inputs.survey, (settings.objective_spectrum, settings.objective_lightcurve))

        def loader(skip: int) -> Iterable[Any]:
            if self.live:
                models = inputs.spectrum_model, inputs.lightcurve_model
                return LiveLoader(inputs.survey, *models, size, seed, skip, targets)
            unique = self.unique_stars
            return PairLoader(
                training, *features, prior, size, seed=seed, skip=skip, unique_stars=unique, targets=targets
            )

        return loader, PairLoader(valid, *features, prior, size, shuffle=False, targets=targets)

    def _facts(
        self,
        inputs: Inputs,
        aligner: Aligner,
        task: Task,
        settings: Settings,
        choice: Choice,
        history: History,
    ) -> dict[str, Any]:
        valid, given = inputs.split == "valid", self.prior(inputs)
        prior = None if given is None else given[torch.from_numpy(valid)]
        first, second = (torch.from_numpy(x[valid]) for x in (inputs.star_spectrum, inputs.star_lightcurve))
        with torch.no_grad():
            halves = aligner.pair(first, second, prior)
        ranks = [effective_rank(half) for half in halves]
        return {
            "learning_rate": choice.learning_rate,
            "temperature": choice.temperature,
            "steps": settings.train_align.steps,
            "best_step": history.best_step,
            "seconds": history.seconds,
            "validation": {k: v for k, v in (history.validation or {}).items() if v == v},
            "parameters": trainable(task),
            "prior": settings.dualformer.prior,
            "rank_spectrum": ranks[0],
            "rank_lightcurve": ranks[1],
            "deviation": float(min(half.std(0).mean() for half in halves)),
            "collapsed": bool(min(ranks) < 2.0),
        }
