"""How well `desa.find_anomalies` finds hidden oddities in mock surveys, against isolation forest and LOF.

MOCK data throughout. A fresh mock survey of ordinary stars gets four kinds of oddities, each as many as 1 %
of the stars: ``composite`` (a hot star's light added to a cool one's spectrum), ``pairing`` (light curve and
spectrum of two unlike stars), ``emission`` (H alpha and H beta in emission), ``delta_sct`` (delta Scuti
pulsations in a cool dwarf's light curve). Average precision is of one kind among the ordinary stars, so that
chance is 1 %; mean and standard error over the seeds. All methods learn what is ordinary from the same
reference, the survey that the model was trained on; ``desa, no reference`` from the mock survey itself.

    python benchmarks/anomalies.py demo/joint/model --folder mocks \\
        --reference demo/embedding.parquet --reference-survey demo/survey
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score
from sklearn.neighbors import LocalOutlierFactor

from desa.anomalies import ranking
from desa.inference.embed import embed_survey
from desa.inference.model import Desa
from desa.search.data import vectors_of
from desa.simulate.observe import MockStar
from desa.simulate.plan import plan_of
from desa.simulate.population import FIRST_KIC, StarParameters, draw_star, stream
from desa.simulate.pulsators import pulsation
from desa.simulate.spectra import Component, simulate_spectrum
from desa.simulate.survey import simulate_star
from desa.survey.selection import best_pairs
from desa.survey.store import Survey, SurveyWriter
from desa.types import LightCurve, Spectrum

KINDS = ("composite", "pairing", "emission", "delta_sct")
COLUMNS = ("joint", "features_spectrum", "features_lightcurve")
Row = dict[str, Any]
Wanted = Callable[[StarParameters], bool]


def composite(star: StarParameters, rng: np.random.Generator) -> Spectrum:
    """The star's spectrum with a main-sequence A star as bright in the same fibre."""
    ratio = (star.teff / 8500.0) ** 2
    hot = Component(8500.0, 4.2, star.fe_h, vsini=60.0, rv=star.rv + 20, radius_ratio=ratio)
    return simulate_spectrum(
        teff=star.teff,
        log_g=star.log_g,
        fe_h=star.fe_h,
        alpha_fe=star.alpha_fe,
        rv=star.rv,
        av=star.av,
        snr_g=60.0,
        companion=hot,
        rng=rng,
        star_id=star.star_id,
    )


def emission(spectrum: Spectrum, rng: np.random.Generator) -> Spectrum:
    """H alpha of 3 to 15 Angstrom and H beta of a third of it, on the spectrum."""
    flux, wave = spectrum.flux.copy(), spectrum.wavelength / (1 + np.nan_to_num(spectrum.z))
    width = rng.uniform(3.0, 15.0)
    for line, share in ((6564.614, 1.0), (4862.683, 1 / 3)):
        near = np.abs(wave - line) < 60
        level = float(np.median(flux[near]))
        flux[near] += (
            level * share * width / 2.5 / np.sqrt(2 * np.pi) * np.exp(-0.5 * ((wave[near] - line) / 2.5) ** 2)
        )
    return replace(spectrum, flux=flux.astype(np.float32))


def pulsating(curve: LightCurve, rng: np.random.Generator) -> LightCurve:
    """The light curve with delta Scuti pulsations."""
    added = pulsation(curve.time, "delta Sct", 7500.0, 4.1, rng)
    return replace(curve, flux=(curve.flux + added).astype(np.float32))


def cool_dwarf(star: StarParameters) -> bool:
    return star.teff < 5600 and star.log_g > 4


def unlike(star: StarParameters) -> bool:
    """Not to be taken for a cool dwarf by light curve or spectrum."""
    return star.log_g < 3.3 or star.teff > 6600


class Sky:
    """Stars of a seed in their order, each once."""

    def __init__(self, seed: int, stars: int) -> None:
        self.plan, self.next = plan_of(20 * stars, seed, range(4, 8), 64), 0

    def star(self, wanted: Wanted | None = None) -> MockStar:
        """The next star that is wanted."""
        while True:
            index, self.next = self.next, self.next + 1
            if wanted is None or wanted(draw_star(self.plan.seed, index)):
                return simulate_star(self.plan, index)


def make(path: Path, seed: int, stars: int) -> Survey:
    """Ordinary stars and oddities of each kind; the oddities' KIC numbers tell the kind (`kinds_of`)."""
    if (path / "survey.json").exists():
        return Survey.open(path)
    sky, writer = Sky(seed, stars), SurveyWriter(path, "mock")

    def add(curve: LightCurve, spectrum: Spectrum, kind: str, number: int) -> None:
        kic = 10_000_000 * (3 + KINDS.index(kind)) + 1000 * seed + number
        writer.add_lightcurve(replace(curve, star_id=f"KIC {kic}"))
        writer.add_spectrum(replace(spectrum, star_id=f"KIC {kic}", obsid=str(kic)))

    for _ in range(stars):
        made = sky.star()
        writer.add_lightcurve(made.lightcurve)
        writer.add_spectrum(made.spectra[0])
    for number in range(max(1, round(stars / 100))):
        rng = stream(seed, 10_000_000 + number, 2)
        cool = sky.star(cool_dwarf)
        add(cool.lightcurve, composite(cool.parameters, rng), "composite", number)
        pair = [sky.star(cool_dwarf), sky.star(unlike)]
        if number % 2:
            pair.reverse()
        add(pair[0].lightcurve, pair[1].spectra[0], "pairing", number)
        some = sky.star()
        add(some.lightcurve, emission(some.spectra[0], rng), "emission", number)
        dwarf = sky.star(cool_dwarf)
        add(pulsating(dwarf.lightcurve, rng), dwarf.spectra[0], "delta_sct", number)
    return writer.finish()


def make_within(path: Path, survey: Survey, seed: int) -> tuple[Survey, set[str]]:
    """As `make`, quicker, of a mock survey that there is.

    Ordinary stars are those of its validation and test splits; oddities are made of training stars. Gives all
    their names: a reference must not hold them.
    """
    params = {
        name: draw_star(0, int(name.split()[1]) - FIRST_KIC) for name in survey.stars["star_id"].to_pylist()
    }
    pairs = best_pairs(survey)
    names = survey.stars.column("star_id").to_pylist()
    order = np.random.default_rng(seed).permutation(len(pairs))
    fresh = [row for row in order if survey.split[pairs.star[row]] in ("valid", "test")]
    hosts = [row for row in order if survey.split[pairs.star[row]] == "train"]
    taken: set[str] = set()
    writer = SurveyWriter(path, "mock")

    def host(wanted: Wanted | None = None) -> tuple[str, LightCurve, Spectrum]:
        row = next(
            row
            for row in hosts
            if names[pairs.star[row]] not in taken
            and (wanted is None or wanted(params[names[pairs.star[row]]]))
        )
        name = names[pairs.star[row]]
        taken.add(name)
        return name, survey.lightcurve(pairs.lightcurve[row]), survey.spectrum(pairs.spectrum[row])

    for row in fresh:
        writer.add_lightcurve(survey.lightcurve(pairs.lightcurve[row]))
        writer.add_spectrum(survey.spectrum(pairs.spectrum[row]))
    for number in range(max(1, round(len(fresh) / 100))):
        rng = stream(seed, 10_000_000 + number, 2)
        name, curve, spectrum = host(cool_dwarf)
        odd = {"composite": (curve, composite(params[name], rng))}
        pair = [host(cool_dwarf), host(unlike)]
        odd["pairing"] = (pair[number % 2][1], pair[1 - number % 2][2])
        name, curve, spectrum = host()
        odd["emission"] = (curve, emission(spectrum, rng))
        name, curve, spectrum = host(cool_dwarf)
        odd["delta_sct"] = (pulsating(curve, rng), spectrum)
        for kind, (curve, spectrum) in odd.items():
            kic = 10_000_000 * (3 + KINDS.index(kind)) + 1000 * seed + number
            writer.add_lightcurve(replace(curve, star_id=f"KIC {kic}"))
            writer.add_spectrum(replace(spectrum, star_id=f"KIC {kic}", obsid=str(kic)))
    return writer.finish(), taken | {names[pairs.star[row]] for row in fresh}


def kinds_of(names: list[str]) -> NDArray[np.int64]:
    """Place of each star's kind among `KINDS`, -1 for ordinary ones."""
    return np.array([int(name.split()[1]) // 10_000_000 - 3 for name in names])


def baselines(table: pa.Table, reference: pa.Table, seed: int) -> dict[str, NDArray[np.float64]]:
    """Scores of isolation forest and LOF on all vectors side by side, standardised by the reference."""
    here, there = (np.hstack([vectors_of(one, name)[1] for name in COLUMNS]) for one in (table, reference))
    mean, spread = there.mean(axis=0), np.maximum(there.std(axis=0), 1e-6)
    here, there = (here - mean) / spread, (there - mean) / spread
    forest = IsolationForest(n_estimators=300, random_state=seed).fit(there)
    factor = LocalOutlierFactor(n_neighbors=20, novelty=True).fit(there)
    return {"isolation forest": -forest.score_samples(here), "LOF": -factor.score_samples(here)}


def precision(scores: NDArray[np.float64], kinds: NDArray[np.int64]) -> dict[str, float]:
    """Average precision of each kind among the ordinary stars."""
    found = {}
    for place, name in enumerate(KINDS):
        some = (kinds == place) | (kinds < 0)
        found[name] = float(
            average_precision_score(kinds[some] == place, np.nan_to_num(scores[some], nan=-1e9))
        )
    return found


def score(survey: Survey, model: Desa, reference: pa.Table, reference_survey: Survey, seed: int) -> list[Row]:
    """A row a method and kind."""
    table = embed_survey(model, survey)
    joint = table.filter(pc.is_valid(table.column("joint")))
    kinds = kinds_of(joint.column("star_id").to_pylist())
    methods = baselines(joint, reference.filter(pc.is_valid(reference.column("joint"))), seed)
    given = {"model": model, "survey": survey}
    found = ranking.find_anomalies(joint, reference=reference, reference_survey=reference_survey, **given)
    alone = ranking.find_anomalies(joint, **given) if joint.num_rows >= ranking.LEAST_STARS else found
    for name, result in (("desa", found), ("desa, no reference", alone)):
        of_star = dict(zip(result["star_id"], result["score"], strict=True))
        methods[name] = np.array([of_star[star] for star in joint.column("star_id").to_pylist()])
    for part in [column for column in found.colnames if column in {f"p_{name}" for name in ranking.ODDITIES}]:
        of_star = dict(zip(found["star_id"], found[part], strict=True))
        methods[f"part {part[2:]}"] = np.array(
            [-of_star[star] for star in joint.column("star_id").to_pylist()]
        )
    q = dict(zip(found["star_id"], found["q_value"], strict=True))
    listed = np.array([q[star] for star in joint.column("star_id").to_pylist()]) <= 0.1
    print(
        json.dumps(
            {
                "seed": seed,
                "on_list_at_q_0.1": int(listed.sum()),
                "of_them_ordinary": int((listed & (kinds < 0)).sum()),
                "ordinary_p_below_0.05": round(
                    float(np.mean(found["p_value"][kinds_of(list(found["star_id"])) < 0] < 0.05)), 4
                ),
            }
        ),
        flush=True,
    )
    return [
        {"seed": seed, "method": name, "kind": kind, "ap": value}
        for name, scores in methods.items()
        for kind, value in precision(scores, kinds).items()
    ]


def print_table(rows: list[Row]) -> None:
    """Mean and standard error over the seeds."""
    print(f"{'MOCK; average precision':26s}" + "".join(f"{kind:>18s}" for kind in KINDS))
    print(f"{'chance':26s}" + "".join(f"{'0.010':>18s}" for _ in KINDS))
    for method in dict.fromkeys(row["method"] for row in rows):
        cells = []
        for kind in KINDS:
            values = [row["ap"] for row in rows if (row["method"], row["kind"]) == (method, kind)]
            error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
            cells.append(f"{np.mean(values):.3f} +- {error:.3f}")
        print(f"{method:26s}" + "".join(f"{cell:>18s}" for cell in cells))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--reference", type=Path, required=True, help="embeddings of the training survey")
    parser.add_argument("--reference-survey", type=Path, required=True)
    parser.add_argument("--stars", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103])
    parser.add_argument("--folder", type=Path, required=True, help="where the mock surveys are kept")
    parser.add_argument("--make-only", action="store_true")
    parser.add_argument(
        "--within", action="store_true", help="quick: simulate nothing, use the reference survey's test stars"
    )
    chosen = parser.parse_args()
    training = Survey.open(chosen.reference_survey)
    model, reference = Desa.load(chosen.model), pq.read_table(chosen.reference)
    rows: list[Row] = []
    for seed in chosen.seeds:
        ordinary, folder = reference, chosen.folder / f"mock{seed}"
        if chosen.within:
            survey, used = make_within(folder, training, seed)
            ordinary = reference.filter(pc.invert(pc.is_in(reference["star_id"], pa.array(sorted(used)))))
        else:
            survey = make(folder, seed, chosen.stars)
        if not chosen.make_only:
            rows += score(survey, model, ordinary, training, seed)
    if rows:
        print_table(rows)


if __name__ == "__main__":
    main()
