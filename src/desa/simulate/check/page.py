"""The page that sets the mock survey beside real stars: ``desa simulate --check DATA -o FOLDER``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from desa.errors import UnsupportedFile
from desa.files import written_whole
from desa.progress import Report
from desa.provenance import provenance
from desa.report.figures import png
from desa.report.page import Figure, Page, Part, Table, write_page
from desa.simulate.check import catalogues, figures
from desa.simulate.check.judge import Verdict
from desa.simulate.check.lightcurves import QuarterCheck, check_quarters
from desa.simulate.check.numbers import Comparison, compared
from desa.simulate.check.quarter_features import NAMES
from desa.simulate.check.quarters import HELD_OUT, TUNED, RealQuarter, mock_pool, read_quarters
from desa.simulate.check.spectra import SpectrumCheck, check_spectra
from desa.simulate.check.spectra import figures as spectrum_figures
from desa.simulate.check.spectrum_sample import SpectrumSample, twin
from desa.simulate.check.templates import fit_templates
from desa.simulate.population import StarParameters
from desa.simulate.residuals import SpectralResiduals
from desa.survey.ingest import ingest
from desa.survey.store import Survey
from desa.types import Spectrum

POOL = 6000
ROTATORS = 2000
TARGETS = {"light curves": 0.80, "spectra": 0.75}
STEPS = 5


def check_survey(
    data: str | Path,
    out: str | Path,
    *,
    residuals: str | Path | None = None,
    pool: int = POOL,
    spectra: int | None = None,
    progress: Report | None = None,
) -> dict[str, Any]:
    """Write ``report.html`` and ``check.json``: mock against real, number by number.

    Parameters
    ----------
    data
        Folder of real data with ``kepler``, ``lamost``, ``catalogs`` and ``templates``.
    out
        Folder to make.
    residuals
        A correction of spectra made from every second real one (``scripts/build_spectral_residuals.py
        --half``): the other half then judges it. None: the shipped correction, which has seen all of them.
    pool
        Mock stars to draw.
    spectra
        At most so many real spectra; None: all.
    progress
        Called with the number of parts done and of all.

    Returns
    -------
    dict
        Content of ``check.json``.

    Raises
    ------
    UnsupportedFile
        If a folder of the real data is missing.
    """
    folder, target = Path(data), Path(out)
    for name in ("kepler", "lamost", "catalogs", "templates"):
        if not (folder / name).is_dir():
            raise UnsupportedFile(folder, f"holds no folder {name}", "give the folder of the real data")
    target.mkdir(parents=True, exist_ok=True)
    report = progress or _silent
    report(0, STEPS)
    stars = mock_pool(pool)
    kepler, survey = folder / "kepler", target / "kepler"
    ingest(kepler, None, [kepler / "star_labels.csv"], survey, processes=1, kind="real")
    real = read_quarters(kepler, Survey.open(survey))
    checks = _quarter_checks(real, stars)
    report(1, STEPS)
    spectrum = _spectrum_check(folder / "lamost", residuals, spectra)
    report(2, STEPS)
    made = (
        _verdict_part(checks, spectrum, residuals is not None),
        _population_part(folder, stars),
        _rotation_part(folder, stars[:ROTATORS]),
        _noise_part(checks[:2]),
        _spectrum_part(folder, spectrum),
    )
    report(4, STEPS)
    merged: dict[str, Any] = {key: value for _, part in made for key, value in part.items()}
    with written_whole(target / "check.json") as scratch:
        scratch.write_text(json.dumps(merged, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    page = Page(
        "Mock survey against real stars",
        "Every figure and number sets stars that desa simulated beside real Kepler and LAMOST stars. "
        "Ratios are mock over real, with standard errors; a difference is named beyond two of them.",
        "mock survey and real stars, side by side",
        [part for part, _ in made],
        provenance(data=folder, stars=pool, residuals=residuals or "shipped"),
    )
    write_page(target / "report.html", page)
    report(STEPS, STEPS)
    return merged


def _silent(done: int, total: int) -> None:
    """Report to nobody."""


def _quarter_checks(real: Sequence[RealQuarter], stars: Sequence[StarParameters]) -> list[QuarterCheck]:
    ordinary = [one for one in real if not one.picked]
    groups = {
        "ordinary stars, half for tuning": [one for one in ordinary if one.half == TUNED],
        "ordinary stars, held-out half": [one for one in ordinary if one.half == HELD_OUT],
        "stars picked for strong variability": [one for one in real if one.picked],
    }
    return [check_quarters(name, some, real, stars) for name, some in groups.items()]


def _spectrum_check(folder: Path, residuals: str | Path | None, most: int | None) -> SpectrumCheck:
    if residuals is None:
        return check_spectra(folder, most=most)
    with np.load(residuals, allow_pickle=False) as arrays:
        correction = SpectralResiduals(dict(arrays))

    def make(sample: SpectrumSample, i: int, seed: int) -> Spectrum:
        return twin(sample, i, seed, residuals=correction)

    return check_spectra(folder, most=most, unseen=True, make=make)


def _table(rows: Sequence[Comparison], caption: str) -> Table:
    cells = [
        (row.what, f"{row.ratio:.3f} ± {row.error:.3f}", str(row.n_mock), str(row.n_real), row.words)
        for row in rows
    ]
    return Table(("what", "mock / real (or minus)", "mock", "real", "remaining difference"), cells, caption)


def _json(rows: Sequence[Comparison]) -> dict[str, list[float | None]]:
    """Ratio, error and numbers; null where there are too few stars."""
    return {
        row.what: [*(v if np.isfinite(v) else None for v in (row.ratio, row.error)), row.n_mock, row.n_real]
        for row in rows
    }


def _met(verdict: Verdict, target: float) -> str:
    if abs(verdict.auc - target) <= verdict.error:
        return "on it, within the error"
    return "yes" if verdict.auc < target else "no"


def _verdict_part(
    checks: Sequence[QuarterCheck], spectrum: SpectrumCheck, unseen: bool
) -> tuple[Part, dict[str, Any]]:
    rows, numbers = [], {}
    named = [("light curves", check.name, check.n_real, check.verdicts) for check in checks]
    of_spectra = "not seen by the correction" if unseen else "seen by the correction: too kind"
    named.append(("spectra", of_spectra, len(spectrum.real), spectrum.auc))
    for what, name, count, verdicts in named:
        for kind, verdict in verdicts.items():
            met = _met(verdict, TARGETS[what])
            rows.append((what, name, str(count), kind, f"{verdict.auc:.3f} ± {verdict.error:.3f}", met))
            numbers[f"AUC, {what}, {name}, {kind}"] = [verdict.auc, verdict.error]
    held_out = checks[1]
    tells = ", ".join(f"{name} ({loss:.3f})" for name, loss in held_out.tells[:5])
    worst = ", ".join(f"{wave:.0f} Å" for wave, *_ in spectrum.worst)
    text = (
        "Classifiers learn to tell a quarter of a real light curve from those of mock stars with the "
        "same Kp, "
        "Teff and log g, and a real spectrum from its mock twin; cross-validated by star. 0.5: nobody can "
        f"tell; 1: always. Targets: {TARGETS['light curves']} and {TARGETS['spectra']}. What gives "
        "held-out mock "
        f"light curves away (loss of AUC when shuffled): {tells}. Spectra differ most near {worst}."
    )
    caption = (
        "Errors: stars drawn again. Tuning used the first half of the ordinary stars only, but older "
        "constants "
        "(stated errors, outliers) were medians over all real stars. Eclipsing binaries are left out."
    )
    table = Table(("what", "real ones", "number", "classifier", "AUC", "target met"), rows, caption)
    items = (
        table,
        Figure(
            figures.example_quarters(held_out),
            "Held-out real quarters and their nearest mock twin.",
            "pairs of light curves, real left and mock right",
        ),
        Figure(
            figures.feature_histograms(held_out),
            "The features that matter most to the judge.",
            "histograms of eight features, real and mock",
        ),
    )
    return Part("Can a classifier tell?", text, items), numbers


def _population_part(folder: Path, stars: Sequence[StarParameters]) -> tuple[Part, dict[str, Any]]:
    rows, said = catalogues.population_numbers(folder, stars)
    huber = catalogues.columns(folder, "huber2014_q1q16_input_parameters", ("Teff", "logg"))
    text = (
        "Greatest difference of the cumulative distributions (Kolmogorov-Smirnov), mock against real: "
        + "; ".join(said)
        + ". Real surface gravities of dwarfs are mostly photometric (the input catalogue's), with "
        "errors of 0.2 to "
        "0.4 dex; the mock ones are true values. No Gaia photometry of Kepler's targets is among the real "
        "data, so the colour-magnitude diagram is shown without a real one."
    )
    figure = Figure(
        figures.hr_diagram(stars, huber["Teff"], huber["logg"]),
        "Real stars: a random choice, as many as mock ones.",
        "HR diagrams and mock CMD",
    )
    return Part("Who is in the survey", text, (figure, _table(rows, "Mock: true values."))), _json(rows)


def _rotation_part(folder: Path, stars: Sequence[StarParameters]) -> tuple[Part, dict[str, Any]]:
    mock, real = catalogues.mock_rotators(stars), catalogues.real_rotators(folder)
    rows = catalogues.rotation_numbers(mock, real)
    rows.append(compared("Rvar / Sph, median", mock.rvar / mock.sph, catalogues.range_over_sph(folder)))
    text = (
        "Mock stars whose period a pipeline would publish, against Santos et al. (2019, 2021) and McQuillan "
        "et al. (2014). The two catalogues differ by more than their errors among themselves above "
        "5400 K: Santos' "
        "periods are longer."
    )
    figure = Figure(
        figures.rotation(mock, real), "Real: at most 4000 stars each.", "Prot and activity by Teff"
    )
    return Part("Rotation and activity", text, (figure, _table(rows, "Ratios of quantiles."))), _json(rows)


def _noise_part(checks: Sequence[QuarterCheck]) -> tuple[Part, dict[str, Any]]:
    both = [np.concatenate([getattr(check, side) for check in checks]) for side in ("mock", "real")]
    rows = []
    for name in (
        "noise a cadence",
        "spread",
        "power at 0.2-0.6 /d",
        "power at 2-6 /d",
        "steps at the gaps",
        "share of lost cadences",
        "longest gap",
        "stated error over noise",
    ):
        k = NAMES.index(name)
        rows.append(compared(f"{name} (log10 where a size)", both[0][:, k], both[1][:, k], difference=True))
    giants = [np.concatenate(values) for values in zip(*(check.giants() for check in checks), strict=True)]
    for name in ("spread", "power at 0.6-2 /d", "power at 2-6 /d", "power at 6-14 /d", "power at 14-24 /d"):
        k = NAMES.index(name)
        rows.append(compared(f"giants: {name} (log10)", giants[1][:, k], giants[0][:, k], difference=True))
    text = (
        "Quarters of ordinary real stars (both halves) and their mock twins of the same Kp, Teff and log g. "
        "Cadences that a data release takes from every star were taken from both sides before. Giants (log g "
        "below 3.5): the power of granulation and oscillations by band; 1 cycle a day is 11.6 uHz."
    )
    k = NAMES.index("noise a cadence")
    points = [
        np.column_stack([np.concatenate([getattr(c, f"kp_{side}") for c in checks]), values[:, k]])
        for side, values in zip(("mock", "real"), both, strict=True)
    ]
    figure = Figure(figures.noise(points[1], points[0]), "Noise against magnitude.", "noise by Kp")
    return Part("Noise, gaps, power", text, (figure, _table(rows, "Differences of medians."))), _json(rows)


def _spectrum_part(folder: Path, check: SpectrumCheck) -> tuple[Part, dict[str, Any]]:
    names = sorted({key.rsplit(" ", 1)[0] for key in check.statistics})
    rows = [
        (name, f"{check.statistics[f'{name} real']:.3f}", f"{check.statistics[f'{name} mock']:.3f}")
        for name in names
    ]
    fits = fit_templates(folder)
    rms = np.array([fit.rms for fit in fits])
    away = np.abs(check.mock_pixels.mean(0) - check.real_pixels.mean(0))
    text = (
        f"Means of mock and real normalised spectra differ by {float(np.median(away)):.3f} in the "
        "median pixel "
        "(in units of a spectrum's own spread). Templates of F, G and K dwarfs, fitted with the bare "
        "emulator "
        f"(no correction towards LAMOST): {len(fits)} templates, rms of the difference "
        f"{100 * np.median(rms):.1f} % in the median, {100 * np.percentile(rms, 90):.1f} % at the "
        "90th percentile."
    )
    drawn = {name: png(canvas) for name, canvas in spectrum_figures(check).items()}
    captions = {
        "pairs": "Real LAMOST spectra and their mock twins, as the encoder gets them.",
        "moments": "Mean and spread by wavelength.",
        "noise": "S/N in the other bands over that in g, and shares of bad pixels.",
    }
    items = [Figure(drawn[name], caption, caption) for name, caption in captions.items()]
    items.append(Figure(figures.templates(fits), "Templates of real dwarfs and the emulator.", "spectra"))
    table = Table(
        ("what", "real", "mock"), rows, "LAMOST DR10 and mock twins of the same labels and S/N in g."
    )
    return Part("Spectra", text, (table, *items)), {"rms of template fits, median": float(np.median(rms))}
