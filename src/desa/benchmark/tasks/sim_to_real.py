"""What mock pre-training is worth on real spectra: few real labels, with it and without it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure as Canvas
from numpy.typing import NDArray

from desa.benchmark.tasks.labelled_spectra import fold_numbers
from desa.files import written_whole
from desa.models.network import Network
from desa.real.data import LABELS, LabelledSpectra, read_spectra, stars
from desa.real.evaluate import load_predictor
from desa.real.scores import Score, as_json, score
from desa.real.train import EPOCHS, FINE_TUNING, QUANTILES, fine_tune, new_model, predict
from desa.report.figures import LABEL_TEXT
from desa.report.maps import save_figure

SHARES = (0.05, 0.2, 1.0)
"""Of the labelled training stars."""

LEAST_STEPS = 300
"""Steps of fine-tuning where few labels would make fewer."""

SCRATCH_LONGER = 3
"""An encoder that begins with nothing gets this many times the steps: it needs them."""

MOCK_ONLY = "mock only"


class Arm(NamedTuple):
    """What one way of training gave.

    Parameters
    ----------
    method, share, spectra
        Its name, the share of the real labels that it had, and how many spectra that is.
    scores
        On the test stars.
    """

    method: str
    share: float
    spectra: int
    scores: list[Score]

    @property
    def title(self) -> str:
        """As tables name it."""
        return f"{self.method}, {self.share:.0%} ({self.spectra})" if self.spectra else self.method


def rows_of_share(
    spectra: LabelledSpectra, among: NDArray[np.bool_], share: float, seed: int
) -> NDArray[np.bool_]:
    """The spectra of a share of the stars in `among`, drawn by star; larger shares hold the smaller ones."""
    numbers = stars(spectra.ra, spectra.dec, spectra.gaia)
    order = np.random.default_rng(seed).permutation(np.unique(numbers[among]))
    return among & np.isin(numbers, order[: max(1, round(share * len(order)))])


def epochs_for(spectra: int, longer: int = 1) -> int:
    """Passes through so many spectra: `EPOCHS`, or what makes `LEAST_STEPS`."""
    a_pass = max(1, spectra // FINE_TUNING.batch_size)
    return longer * max(EPOCHS, -(-LEAST_STEPS // a_pass))


def sim_to_real(
    directory: Path,
    pretrained: Path,
    out: Path,
    *,
    seed: int = 0,
    shares: tuple[float, ...] = SHARES,
    epochs: Callable[[int, int], int] = epochs_for,
    say: Callable[[str], None],
) -> dict[str, list[Score]]:
    """Test on one fifth of the stars, which no model has seen; train on shares of the others.

    Parameters
    ----------
    directory
        Real labelled LAMOST spectra.
    pretrained
        A model of mock spectra whose head gives `LABELS` at `QUANTILES`, as ``make real`` leaves it in
        ``pretrained/model``. Real spectra gave their noise and continua to its mocks, never a label.
    out
        Filled with the models, ``sim_to_real.json`` and ``sim_to_real.png``.
    seed
        Of the folds, the draws and the training.
    epochs
        (spectra, how many times longer) -> passes.

    Returns
    -------
    dict
        Method -> scores on the test stars.

    Raises
    ------
    ModelError
        If the model has other labels or quantiles.
    """
    model, spectra = load_predictor(pretrained), read_spectra(directory)
    test = fold_numbers(spectra, seed) == 0
    held = spectra.select(test)

    def scores(found: Network) -> list[Score]:
        return score(predict([found], held)[..., QUANTILES.index(0.5)], held.labels, held.snr_g)

    arms = [Arm(MOCK_ONLY, 0.0, 0, scores(model))]
    for share in shares:
        some = spectra.select(rows_of_share(spectra, ~test, share, seed))
        for name, start, longer in (
            ("mock, then real", model, 1),
            ("real only", new_model(model.settings), SCRATCH_LONGER),
        ):
            folder = out / f"{share:g}-{name.replace(', ', '-').replace(' ', '-')}"
            tuned = fine_tune(start, some, folder, seed=seed, epochs=epochs(len(some), longer))
            arms.append(Arm(name, share, len(some), scores(tuned)))
            say(f"{name}: {share:.0%} of the real labels, {len(some)} spectra")
    table = {arm.title: arm.scores for arm in arms}
    facts: dict[str, Any] = {"data": "real LAMOST spectra", "test": len(held), "seed": seed}
    facts["scores"] = {name: as_json(rows) for name, rows in table.items()}
    with written_whole(out / "sim_to_real.json") as scratch:
        scratch.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    save_figure(figure(arms), out / "sim_to_real.png")
    return table


def figure(arms: Sequence[Arm]) -> Canvas:
    """Mean absolute error against the number of real labels, a panel a label."""
    canvas = Canvas(figsize=(12, 4.2), layout="constrained")
    for axis, label in zip(canvas.subplots(1, len(LABELS)), LABELS, strict=True):
        lines: dict[str, list[tuple[int, Score]]] = {}
        for arm in arms:
            (found,) = (row for row in arm.scores if (row.label, row.group) == (label, "all"))
            if arm.spectra:
                lines.setdefault(arm.method, []).append((arm.spectra, found))
            else:
                axis.axhline(found.mae, color="0.4", ls=":", label=f"{arm.method} (no real label)")
        for method, points in lines.items():
            x, y = [count for count, _ in points], [row.mae for _, row in points]
            axis.errorbar(x, y, [row.mae_err for _, row in points], marker="o", capsize=3, label=method)
        axis.set(xscale="log", xlabel="real labelled spectra", ylabel=f"mean |error|, {LABEL_TEXT[label]}")
        axis.set_ylim(bottom=0)
    canvas.axes[0].legend(frameon=False, fontsize=8)
    canvas.suptitle("Real LAMOST spectra of test stars: what mock pre-training is worth")
    return canvas
