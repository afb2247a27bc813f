"""Side-by-side figures of mock and real; every panel says which is which."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from desa.report.figures import canvas_of, png
from desa.simulate.check.catalogues import Rotators
from desa.simulate.check.lightcurves import QuarterCheck
from desa.simulate.check.quarter_features import NAMES
from desa.simulate.check.templates import TemplateFit
from desa.simulate.instrument import WAVE
from desa.simulate.population import StarParameters

FloatArray = NDArray[np.float64]
REAL, MOCK = "#1f6feb", "#d9480f"


def hr_diagram(stars: Sequence[StarParameters], teff: FloatArray, log_g: FloatArray) -> bytes:
    """Log g against Teff, real and mock, and the mock colour-magnitude diagram by class."""
    canvas, axes = canvas_of(1, 3, 3.9, 3.6)
    real = np.random.default_rng(0).permutation(np.flatnonzero(np.isfinite(teff) & np.isfinite(log_g)))
    real = real[: len(stars)]
    mock = np.array([(s.teff, s.log_g, s.bp_rp, s.m_g) for s in stars])
    for axis, x, y, name, colour in (
        (axes[0, 0], teff[real], log_g[real], "real (Huber et al. 2014)", REAL),
        (axes[0, 1], mock[:, 0], mock[:, 1], "mock", MOCK),
    ):
        axis.plot(x, y, ".", ms=1.5, alpha=0.5, color=colour, rasterized=True)
        axis.set(title=name, xlim=(10000, 3000), ylim=(5.4, 0), xlabel="Teff [K]", ylabel="log g [dex]")
    axis = axes[0, 2]
    for kind in sorted({s.cmd_class for s in stars}):
        rows = np.array([s.cmd_class == kind for s in stars])
        axis.plot(mock[rows, 2], mock[rows, 3], ".", ms=2, label=kind.replace("_", " "))
    axis.set(title="mock", xlim=(-0.2, 3.2), ylim=(12, -4), xlabel="BP - RP [mag]", ylabel="M_G [mag]")
    axis.legend(frameon=False, fontsize=7, markerscale=4)
    return png(canvas)


def rotation(mock: Rotators, real: dict[str, Rotators]) -> bytes:
    """Prot (above) and Sph or range (below) against Teff, real catalogues and mock."""
    everyone = {**{f"real ({name})": r for name, r in real.items()}, "mock": mock}
    canvas, axes = canvas_of(2, len(everyone), 3.9, 3.1)
    rng = np.random.default_rng(0)
    for k, (name, sample) in enumerate(everyone.items()):
        some = rng.permutation(len(sample.teff))[:4000]
        size = {"ms": 1.5, "alpha": 0.5} if len(some) > 2000 else {"ms": 3.0, "alpha": 0.7}
        activity, text = (sample.rvar, "Rvar or Rper [ppm]")
        if np.isfinite(sample.sph).any():
            activity, text = sample.sph, "Sph [ppm]"
        for row, values, label in ((0, sample.prot, "Prot [d]"), (1, activity, text)):
            axis = axes[row, k]
            axis.plot(sample.teff[some], values[some], ".", color=MOCK if name == "mock" else REAL, **size)
            axis.set(xlim=(7200, 3300), yscale="log", xlabel="Teff [K]", ylabel=label)
            axis.set_ylim((0.2, 100) if row == 0 else (20, 1e5))
        axes[0, k].set_title(name)
    return png(canvas)


def feature_histograms(check: QuarterCheck, count: int = 8) -> bytes:
    """The features that give mock quarters away most, real and mock."""
    canvas, axes = canvas_of(2, count // 2, 3.0, 2.5)
    for axis, (name, _) in zip(axes.ravel(), check.tells, strict=False):
        k = NAMES.index(name)
        both = np.concatenate([check.real[:, k], check.mock[:, k]])
        bins = np.linspace(both.min(), both.max() + 1e-6, 16)
        for values, label, colour in ((check.real, "real", REAL), (check.mock, "mock", MOCK)):
            axis.hist(values[:, k], bins, density=True, histtype="step", label=label, color=colour)
        axis.set_xlabel(name, fontsize=8)
        axis.set_yticks([])
    axes[0, 0].legend(frameon=False, fontsize=8)
    return png(canvas)


def example_quarters(check: QuarterCheck, count: int = 5) -> bytes:
    """Real quarters (left) beside their first mock twin (right)."""
    canvas, axes = canvas_of(count, 2, 5.6, 1.5)
    for row, pair in zip(axes, check.examples[:: max(len(check.examples) // count, 1)], strict=False):
        for axis, curve, name, colour in zip(row, pair, ("real", "mock"), (REAL, MOCK), strict=True):
            time = curve.start_bkjd + curve.cadence_days * np.arange(len(curve))
            axis.plot(time, 1e6 * (curve.flux - 1), ",", color=colour)
            axis.plot(time, 1e6 * (curve.flux - 1), lw=0.3, color=colour)
            axis.set_ylabel("ppm", fontsize=8)
            axis.set_title(f"{name}: {curve.star_id}", fontsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("time [BKJD]")
    return png(canvas)


def noise(real: FloatArray, mock: FloatArray) -> bytes:
    """Noise of a cadence against Kp; columns (Kp, log10 ppm)."""
    canvas, axes = canvas_of(1, 1, 5.0, 3.3)
    for values, name, colour in ((mock, "mock", MOCK), (real, "real", REAL)):
        axes[0, 0].plot(values[:, 0], 10 ** values[:, 1], ".", color=colour, label=name)
    axes[0, 0].set(yscale="log", xlabel="Kp [mag]", ylabel="noise of a cadence [ppm]")
    axes[0, 0].legend(frameon=False)
    return png(canvas)


def templates(fits: Sequence[TemplateFit], count: int = 4) -> bytes:
    """Templates (real stars) and the emulator's best fit."""
    canvas, axes = canvas_of(count, 1, 11.0, 1.7)
    near_solar = [fit for fit in fits if fit.name.endswith("+0.0")] or list(fits)
    for axis, fit in zip(axes[:, 0], near_solar[:: max(len(near_solar) // count, 1)], strict=False):
        axis.plot(WAVE, fit.template, lw=0.5, color=REAL, label="template (real stars)")
        axis.plot(WAVE, fit.model, lw=0.5, color=MOCK, label="emulator")
        axis.set(xlim=(4000, 9000), ylim=(0.3, 1.25))
        axis.set_title(f"{fit.name}: {fit.teff:.0f} K, rms {100 * fit.rms:.1f} %", fontsize=9)
    axes[0, 0].legend(frameon=False, fontsize=8, loc="lower right")
    axes[-1, 0].set_xlabel("wavelength [Angstrom]")
    return png(canvas)
