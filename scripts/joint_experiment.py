"""The joint stage against the concatenation, CLIP and each modality alone, on a mock survey.

    python scripts/joint_experiment.py SURVEY ENCODERS OUT [--seeds 3] [--steps 200]

SURVEY is a mock survey, ENCODERS a model folder with both encoders, which stay frozen. What each run predicts
of the test stars goes to OUT as it ends; joint.md is written from what is there. Nothing is chosen by the
test stars.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desa.config import Settings, settings
from desa.errors import DesaError
from desa.evaluation.metrics import auc, mae
from desa.evaluation.paired import paired_bootstrap, r2
from desa.evaluation.probe import linear_probe
from desa.evaluation.retrieval import ranks
from desa.models.network import Network
from desa.survey.mixture import Mixture
from desa.survey.selection import Pairs, best_pairs
from desa.survey.store import Survey
from desa.training.joint_stage import JointData, train_joint

Array = NDArray[np.float64]

VARIANTS: dict[str, dict[str, Any]] = {
    "joint": {},
    "concatenation": {"fusion": "none"},
    "clip": {"supervised": 0.0, "contrastive": 1.0, "modality_dropout": 0.0},
    "joint, last blocks train": {"encoders": "last"},
    "joint, labels and fill": {"fill": 0.3},
    "joint, labels and CoMM": {"fused_contrast": 0.1},
}
LABELS = ("teff", "log_g", "fe_h", "log_prot", "log_age")
LOW_SNR = 20.0

Metric = Callable[[Array, Array], float]
SCORES: dict[str, tuple[str, Metric]] = {
    "R2 Teff": ("teff", r2),
    "R2 log g": ("log_g", r2),
    "R2 [Fe/H]": ("fe_h", r2),
    "R2 log Prot": ("log_prot", r2),
    "-MAE log g, S/N < 20": ("log_g_low", lambda t, p: -mae(t, p)),
    "-MAE age [Gyr]": ("age", lambda t, p: -mae(t, p)),
    "AUC binary": ("binary", auc),
}


def chosen(variant: str, seed: int, steps: int) -> Settings:
    """Settings of a run."""
    joining = {"patch": 8, "encoders": "frozen", **VARIANTS[variant]}
    training = {"steps": steps, "batch_size": 64, "validate_every": 50, "warmup": 0.05}
    return settings("mini", seed=seed, joining=joining, train_joint=training)


def predicted(said: dict[str, Array]) -> dict[str, Array]:
    """Medians of the joint model's own heads, and the chance of a companion."""
    middle = said["quantiles"].shape[2] // 2
    found = {name: said["quantiles"][:, place, middle] for place, name in enumerate(LABELS)}
    return {**found, "age": 10 ** found["log_age"], "log_g_low": found["log_g"], "binary": said["binary"]}


def probed(features: Array, data: JointData, pairs: Pairs, survey: Survey) -> dict[str, Array]:
    """What ridge regressions on fixed features, fitted on train and valid stars, say of test stars."""
    split = survey.split[pairs.star]
    labels = data.labels[pairs.star].numpy().astype(np.float64)
    columns = {**dict(zip(LABELS, labels.T, strict=True)), "binary": data.binary[pairs.star].numpy()}
    found: dict[str, Array] = {}
    for name, column in columns.items():
        probe = linear_probe(features, column, split)
        rows = np.full(len(pairs), np.nan)
        rows[np.isfinite(column) & (split == "test")] = probe.predicted
        found[name] = rows[split == "test"]
    return {**found, "age": 10 ** found["log_age"], "log_g_low": found["log_g"]}


def run_all(survey: Survey, encoders: Path, out: Path, seeds: int, steps: int) -> None:
    """Every run that is not there yet; the main ones of all seeds before the ablations."""
    pairs = best_pairs(survey)
    test = survey.split[pairs.star] == "test"
    order = [(variant, seed) for seed in range(seeds) for variant in list(VARIANTS)[:2]]
    order += [(variant, seed) for variant in list(VARIANTS)[2:] for seed in range(seeds)]
    for variant, seed in order:
        target = out / f"{variant.replace(', ', '-').replace(' ', '_')}-{seed}.npz"
        if target.exists():
            continue
        own = chosen(variant, seed, steps)
        folder = out / target.stem
        model = train_joint(survey, encoders, encoders, own, folder, cache=out / "tokens", device="cpu")
        data = JointData(model, Mixture.of(survey), own, out / "tokens")
        arrays: dict[str, Array] = {"star": pairs.star[test].astype(np.float64)}
        alone = [data.said(model, pairs, only)["fused"] for only in (0, 1)]
        if variant == "clip":
            for name, rows in probed(np.concatenate(alone, axis=1), data, pairs, survey).items():
                arrays[f"probe/{name}"] = rows
        else:
            whole = data.said(model, pairs)
            for name, rows in predicted(whole).items():
                arrays[f"head/{name}"] = rows[test]
            for name, rows in probed(whole["joint"], data, pairs, survey).items():
                arrays[f"probe/{name}"] = rows
            for place, part in enumerate(("spectrum", "lightcurve")):
                for name, rows in predicted(data.said(model, pairs.where(test), place)).items():
                    arrays[f"{part}_only/{name}"] = rows
        if alone[0].shape[1]:
            arrays["rank"] = ranks(alone[1][test], alone[0][test])
        if variant == "concatenation" and seed == 0:
            both = whole["joint"]
            first = model.require("joint").tails.sizes[0]
            for name, part in (("spectrum", both[:, :first]), ("lightcurve", both[:, first:])):
                for label, rows in probed(part, data, pairs, survey).items():
                    arrays[f"alone_{name}/{label}"] = rows
        np.savez(target, **arrays)
        report(survey, encoders, out, steps)


def truths(survey: Survey, data: JointData, star: NDArray[np.int64]) -> dict[str, Array]:
    """Catalogue labels of the test stars, and S/N-limited log g."""
    labels = dict(zip(LABELS, data.labels[star].numpy().astype(np.float64).T, strict=True))
    pairs = best_pairs(survey)
    snr_of = dict(
        zip(pairs.star.tolist(), survey.spectrum_column("snr_g")[pairs.spectrum].tolist(), strict=True)
    )
    snr = np.array([snr_of[row] for row in star.tolist()])
    labels["log_g_low"] = np.where(snr < LOW_SNR, labels["log_g"], np.nan)
    labels["age"] = 10 ** labels["log_age"]
    labels["binary"] = data.binary[star].numpy().astype(np.float64)
    return labels


ROWS = {
    "joint model, own heads": ("joint", "head"),
    "concatenation, the same heads": ("concatenation", "head"),
    "joint, last blocks train": ("joint-last_blocks_train", "head"),
    "joint, labels and fill": ("joint-labels_and_fill", "head"),
    "joint, labels and CoMM": ("joint-labels_and_CoMM", "head"),
    "joint model, ridge": ("joint", "probe"),
    "concatenation, ridge": ("concatenation", "probe"),
    "CLIP, ridge": ("clip", "probe"),
    "spectrum alone, ridge": ("concatenation", "alone_spectrum"),
    "light curve alone, ridge": ("concatenation", "alone_lightcurve"),
    "joint model shown the spectrum alone": ("joint", "spectrum_only"),
    "joint model shown the light curve alone": ("joint", "lightcurve_only"),
}
COMPARED = [
    ("joint model, own heads", "concatenation, the same heads"),
    ("joint model, ridge", "concatenation, ridge"),
    ("joint model, ridge", "CLIP, ridge"),
    ("joint model, ridge", "spectrum alone, ridge"),
    ("joint model, ridge", "light curve alone, ridge"),
    ("joint, last blocks train", "joint model, own heads"),
    ("joint, labels and fill", "joint model, own heads"),
    ("joint, labels and CoMM", "joint model, own heads"),
]


def collected(out: Path) -> dict[str, list[dict[str, Array]]]:
    """Row of the table -> what each seed predicted, by label."""
    found: dict[str, list[dict[str, Array]]] = {}
    for row, (stem, kind) in ROWS.items():
        for path in sorted(out.glob(f"{stem}-[0-9].npz")):
            stored = np.load(path)
            own = {k.split("/")[1]: stored[k] for k in stored.files if k.startswith(f"{kind}/")}
            if own:
                found.setdefault(row, []).append(own)
    return found


def report(survey: Survey, encoders: Path, out: Path, steps: int) -> None:
    """Write joint.md from the runs that have ended."""
    paths = sorted(out.glob("*-[0-9].npz"))
    star = np.load(paths[0])["star"].astype(np.int64)
    data = JointData(
        Network.load(next(out.glob("*/model"))), Mixture.of(survey), chosen("joint", 0, steps), out / "tokens"
    )
    truth, found = truths(survey, data, star), collected(out)
    lines = ["| model | seeds | " + " | ".join(SCORES) + " |", "| --- | ---: |" + " ---: |" * len(SCORES)]
    for row, runs in found.items():
        cells = []
        for label, metric in SCORES.values():
            values = []
            for run in runs:
                known = np.isfinite(truth[label]) & np.isfinite(run[label])
                values.append(metric(truth[label][known], run[label][known]))
            cells.append(f"{np.mean(values):.3f}")
        lines.append(f"| {row} | {len(runs)} | " + " | ".join(cells) + " |")
    lines += ["", "| difference | " + " | ".join(SCORES) + " |", "| --- |" + " ---: |" * len(SCORES)]
    for first, second in COMPARED:
        if first not in found or second not in found:
            continue
        cells = []
        for label, metric in SCORES.values():
            pair = [[run[label] for run in found[row]] for row in (first, second)]
            gap = paired_bootstrap(truth[label], pair[0], pair[1], metric, draws=300)
            cells.append(f"{gap.value:+.3f} ± {gap.error:.3f}{' *' if gap.p < 0.05 else ''}")
        lines.append(f"| {first} minus {second} | " + " | ".join(cells) + " |")
    recall = []
    for stem in ("joint", "clip"):
        found_ranks = [np.load(path)["rank"] for path in sorted(out.glob(f"{stem}-[0-9].npz"))]
        if found_ranks:
            share = np.mean([(rank <= 10).mean() for rank in found_ranks])
            recall.append(f"{stem} {share:.3f}")
    counts = {name: int((survey.split[best_pairs(survey).star] == name).sum()) for name in ("train", "test")}
    known = {name: int(np.isfinite(values).sum()) for name, values in truth.items()}
    lines += [
        "",
        f"Spectrum of a light curve, recall at 10: {', '.join(recall)}; chance {10 / len(star):.3f}.",
        f"{counts['train']} stars to train on, {counts['test']} to test on; {steps} steps of 64; test stars "
        f"with each label: {', '.join(f'{name} {count}' for name, count in known.items())}.",
    ]
    (out / "joint.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    """Run what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("survey", type=Path)
    parser.add_argument("encoders", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=200)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    survey = Survey.open(given.survey)
    if survey.kind != "mock":
        raise DesaError(f"{given.survey}: not a mock survey; the report says that it is one")
    run_all(survey, given.encoders, given.out, given.seeds, given.steps)
    report(survey, given.encoders, given.out, given.steps)


if __name__ == "__main__":
    main()
