"""Posteriors of age from rotation period and temperature, calibrated on open clusters of known age.

The model is that of Bouma, Palumbo & Hillenbrand (2023, ApJL 947, L3) in the package ``gyrointerp``: at an
age and a temperature, periods scatter about a slow sequence. Its own function for one star sums that
distribution over a grid of temperature and period, which takes a minute; the distribution is the same for
every star, so it is taken from the package once here, and a star then takes some hundredths of a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desa.errors import SettingsError
from desa.progress import Report

Array = NDArray[np.float64]

AGES_GYR = np.concatenate([np.arange(0.0, 1.0, 0.025), np.arange(1.0, 5.0 + 1e-9, 0.06)])
"""Ages that are told apart; all are as likely before a star is looked at, as in the package."""

COOLEST, HOTTEST = 3800.0, 6200.0
"""K; the clusters' sequences are measured between them."""

YOUNGEST_GYR, OLDEST_GYR = 0.08, 4.0
"""Ages of the youngest and the oldest cluster (alpha Per, M67)."""

LEAST_PERIOD_ERROR, LEAST_TEFF_ERROR = 0.1, 50.0
"""d and K: smaller errors are taken as these. Stars of one age and mass scatter by more."""

RESIDUALS = np.linspace(-14.0, 6.0, 200)
"""d off the slow sequence, at which the package's distribution is taken."""

TEFFS = np.linspace(COOLEST, HOTTEST, 199)
REACH = 4.0
"""Temperatures further off than this many errors don't count."""

LEVELS = (0.05, 0.16, 0.5, 0.84, 0.95)


@dataclass(frozen=True, eq=False)
class Gyrochronology:
    """What periods stars of each age and temperature have.

    Parameters
    ----------
    ages_gyr
        (A,) ascending.
    sequence
        (A, T) period in days of the slow sequence at `TEFFS`.
    scatter
        (A, Y, T) density of periods `RESIDUALS` off it.
    """

    ages_gyr: Array
    sequence: Array
    scatter: NDArray[np.float32]

    @classmethod
    def of_clusters(cls, progress: Report | None = None, ages_gyr: Array = AGES_GYR) -> Gyrochronology:
        """Take the model from ``gyrointerp``; some 15 s.

        Parameters
        ----------
        progress
            Called with (ages done, ages).
        ages_gyr
            The ages to tell apart.

        Raises
        ------
        SettingsError
            Without that package.
        """
        try:
            from gyrointerp.models import slow_sequence, slow_sequence_residual
        except ImportError:
            raise SettingsError("ages need gyrointerp: pip install 'desa[ages]'") from None
        options: dict[str, Any] = {"verbose": False, "bounds_error": "4gyrextrap"}
        sequence, scatter = [], []
        for done, age in enumerate(ages_gyr, start=1):
            sequence.append(slow_sequence(TEFFS, 1000.0 * age, **options))
            density = slow_sequence_residual(1000.0 * age, y_grid=RESIDUALS, teff_grid=TEFFS, **options)
            scatter.append(np.nan_to_num(density).astype(np.float32))
            if progress:
                progress(done, len(ages_gyr))
        return cls(np.asarray(ages_gyr), np.array(sequence), np.array(scatter))

    def posterior(self, prot: float, prot_err: float, teff: float, teff_err: float) -> Array:
        """Density of a star's age per Gyr, at `ages_gyr` (equation 1 of the paper).

        Parameters
        ----------
        prot, prot_err
            Rotation period and its standard error in days; positive.
        teff, teff_err
            Temperature and its standard error in K.

        Returns
        -------
        array
            (A,), NaN for temperatures beyond `COOLEST` and `HOTTEST` and numbers that are not known.
        """
        unknown = np.full(len(self.ages_gyr), np.nan)
        if not (np.isfinite([prot, prot_err, teff_err]).all() and COOLEST <= teff <= HOTTEST and prot > 0):
            return unknown
        sigma_p, sigma_t = max(prot_err, LEAST_PERIOD_ERROR), max(teff_err, LEAST_TEFF_ERROR)
        near = np.abs(TEFFS - teff) <= REACH * sigma_t
        weight = np.exp(-0.5 * ((TEFFS[near] - teff) / sigma_t) ** 2)
        off = (prot - self.sequence[:, None, near] - RESIDUALS[None, :, None]) / sigma_p
        density = np.einsum("ayt,ayt,t->a", np.exp(-0.5 * off**2), self.scatter[:, :, near], weight)
        total = np.trapezoid(density, self.ages_gyr)
        return density / total if total > 0 else unknown

    def quantiles(self, density: Array) -> Array:
        """(len(LEVELS),) ages in Gyr below which these shares of a posterior lie; NaN of an unknown one."""
        if not np.isfinite(density).all():
            return np.full(len(LEVELS), np.nan)
        steps = 0.5 * (density[1:] + density[:-1]) * np.diff(self.ages_gyr)
        return np.interp(LEVELS, np.concatenate([[0.0], np.cumsum(steps)]), self.ages_gyr)
