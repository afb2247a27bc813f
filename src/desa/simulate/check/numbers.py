"""How far two samples are apart: ratios of quantiles with their errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
FEWEST = 8


@dataclass(frozen=True)
class Comparison:
    """A number of the mock survey over that of real stars.

    Parameters
    ----------
    what
        What is compared.
    ratio, error
        Mock over real (or mock minus real where `difference`), and its standard error.
    n_mock, n_real
        Stars (or spectra) behind it.
    difference
        Whether `ratio` is a difference.
    """

    what: str
    ratio: float
    error: float
    n_mock: int
    n_real: int
    difference: bool = False

    @property
    def words(self) -> str:
        """What remains, said plainly: beyond two standard errors it is called a difference."""
        size = self.ratio if self.difference else self.ratio - 1.0
        if not np.isfinite(size):
            return "too few stars"
        if abs(size) <= 2 * self.error:
            return "no difference beyond two standard errors"
        if self.difference:
            return f"mock {'higher' if size > 0 else 'lower'} by {abs(size):.2g}"
        if size > 0:
            return f"mock larger by {100 * size:.0f} %"
        return f"mock smaller by {-100 * size:.0f} %"


def compared(
    what: str,
    mock: ArrayLike,
    real: ArrayLike,
    quantile: float = 0.5,
    *,
    difference: bool = False,
    draws: int = 200,
) -> Comparison:
    """Ratio (or difference) of a quantile of two samples, its error from drawing both again; NaN left out."""
    rng = np.random.default_rng(0)
    samples = [np.asarray(v, dtype=np.float64) for v in (mock, real)]
    samples = [v[np.isfinite(v)] for v in samples]
    counts = [len(v) for v in samples]
    if min(counts) < FEWEST:
        return Comparison(what, np.nan, np.nan, counts[0], counts[1], difference)

    def of(one: FloatArray, other: FloatArray) -> float:
        a, b = np.quantile(one, quantile), np.quantile(other, quantile)
        return float(a - b if difference else a / b)

    found = [of(*(rng.choice(v, min(len(v), 4000)) for v in samples)) for _ in range(draws)]
    return Comparison(what, of(*samples), float(np.std(found)), counts[0], counts[1], difference)


def distance(mock: ArrayLike, real: ArrayLike, draws: int = 100) -> tuple[float, float]:
    """Greatest difference of two cumulative distributions (Kolmogorov-Smirnov), with its error."""
    from scipy.stats import ks_2samp

    rng = np.random.default_rng(0)
    samples = [np.asarray(v, dtype=np.float64) for v in (mock, real)]
    samples = [v[np.isfinite(v)] for v in samples]

    def of(one: FloatArray, other: FloatArray) -> float:
        return float(ks_2samp(one, other, method="asymp").statistic)

    found = [of(*(rng.choice(v, min(len(v), 4000)) for v in samples)) for _ in range(draws)]
    return of(*samples), float(np.std(found))
