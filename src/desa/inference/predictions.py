"""What `Desa.predict` gives: a star's labels with units, intervals, flags and reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape

import numpy as np
from astropy import units

from desa.inference.estimate import Estimate
from desa.inference.labels import words_of
from desa.inference.quality import Flag


@dataclass(frozen=True, repr=False)
class Prediction:
    """One label of a star.

    Parameters
    ----------
    label
        Its name.
    median
        In `unit`; NaN for a label that is a class.
    unit
        As astropy writes it (``"K"``, ``"dex"``, ``"d"``); empty for none.
    intervals
        coverage -> (low, high), conformal; empty where the model has no calibration.
    quantiles
        level -> value. The ends of the intervals and the median, where there are intervals; else as the
        head predicts them.
    probabilities
        class -> probability, of a label that is a class.
    flag
        Bits of `desa.inference.quality.Flag`; 0: nothing speaks against it.
    reason
        What speaks against it, in words.
    """

    label: str
    median: float
    unit: str = ""
    intervals: Mapping[float, tuple[float, float]] = field(default_factory=dict)
    quantiles: Mapping[float, float] = field(default_factory=dict)
    probabilities: Mapping[str, float] = field(default_factory=dict)
    flag: Flag = Flag.GOOD
    reason: str = ""

    @classmethod
    def of(cls, estimate: Estimate, star: int, flag: int, reason: str) -> Prediction:
        """A star's label from those of all.

        Parameters
        ----------
        estimate
            A label of many stars.
        star
            Which of them.
        flag, reason
            What speaks against it.
        """
        shares = estimate.probabilities
        intervals = {
            coverage: (float(low[star]), float(high[star]))
            for coverage, (low, high) in estimate.intervals.items()
        }
        median = float("nan") if estimate.classes else float(estimate.median[star])
        quantiles = {level: float(values[star]) for level, values in estimate.quantiles.items()}
        if intervals:
            ends = {
                round(0.5 + side * coverage / 2, 6): pair[place]
                for coverage, pair in intervals.items()
                for side, place in ((-1, 0), (1, 1))
            }
            quantiles = dict(sorted({0.5: median, **ends}.items()))
        return cls(
            label=estimate.label,
            median=median,
            unit="" if estimate.classes else words_of(estimate.label).unit,
            intervals=intervals,
            quantiles=quantiles,
            probabilities={}
            if shares is None
            else dict(zip(estimate.classes, shares[star].tolist(), strict=True)),
            flag=Flag(flag),
            reason=reason,
        )

    @property
    def quantity(self) -> units.Quantity:
        """The median with its unit."""
        return units.Quantity(self.median, self.unit or units.dimensionless_unscaled)

    @property
    def likeliest(self) -> str:
        """The class of the largest probability; empty for a number."""
        return max(self.probabilities, key=lambda name: self.probabilities[name], default="")

    @property
    def text(self) -> str:
        """``"5778 +120 -110 K"``: the median with its 68 % interval, or the likeliest class."""
        if self.probabilities:
            return f"{self.likeliest} ({self.probabilities[self.likeliest]:.0%})"
        unit = "" if self.unit in ("", "dex") else f" {self.unit}"
        low, high = self.intervals.get(0.68, (np.nan, np.nan))
        up, down = high - self.median, self.median - low
        if not (np.isfinite(up) and np.isfinite(down)):
            return f"{self.median:.4g}{unit}"
        least = max(up, down, 1e-3, 1e-4 * abs(self.median))
        digits = max(0, 1 - int(np.floor(np.log10(least))))
        return f"{self.median:.{digits}f} +{up:.{digits}f} -{down:.{digits}f}{unit}"

    def __repr__(self) -> str:
        doubt = f", flagged: {self.reason}" if self.flag else ""
        return f"<{self.label} {self.text}{doubt}>"


class Predictions(dict[str, Prediction]):
    """A star's predictions by label.

    Parameters
    ----------
    star_id
        The star's name.
    found
        Its labels.
    """

    def __init__(self, star_id: str, found: Mapping[str, Prediction]) -> None:
        super().__init__(found)
        self.star_id = star_id

    def __repr__(self) -> str:
        rows = "".join(f"\n  {one!r}" for one in self.values())
        return f"<Predictions {self.star_id or 'of a star without name'}{rows or ': none'}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(one.label)}</td><td>{escape(one.text)}</td><td>{escape(one.reason)}</td></tr>"
            for one in self.values()
        )
        head = "<tr><th>label</th><th>median and 68 % interval</th><th>what speaks against it</th></tr>"
        return f"<p>{escape(self.star_id)}</p><table>{head}{rows}</table>"
