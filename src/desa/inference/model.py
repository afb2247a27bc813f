"""The user's object: a trained network that embeds stars and predicts their labels."""

from __future__ import annotations

from html import escape
from typing import Any

from astropy.table import Table

from desa.inference.embed import Named, embed_stars, prior_tensor, vectors_table
from desa.inference.labels import shown
from desa.inference.objects import LightCurves, Spectra, check_modalities, given_stars
from desa.inference.predict import predict_stars, predict_table
from desa.inference.quality import Limits
from desa.models.network import Network
from desa.types import Star

SHOWN = {
    "lightcurve": "light-curve encoder",
    "spectrum": "spectrum encoder",
    "dualformer": "DualFormer",
    "joint": "joint model",
}


class Desa(Network):
    """A trained network with what its user does with it; `desa.load` makes one."""

    def embed(
        self,
        lightcurve: LightCurves = None,
        spectrum: Spectra = None,
        prior: Any = None,
        *,
        same_star: bool = False,
    ) -> Any:
        """Embed one star, or a list of stars.

        Parameters
        ----------
        lightcurve
            `desa.LightCurve`, ``lightkurve`` object or path; or a list of them, one a star (a star's own
            entry may be a list of its quarters' paths, or None).
        spectrum
            `desa.Spectrum`, ``specutils`` object or path; or a list, in the same order. Files are told by
            their content: their order does not matter, and one alone may be of either kind.
        prior
            (6,) or (3,) numbers of the model's prior, or (B, ...); NaN or None where missing.
        same_star
            Take a light curve and a spectrum for one star's although their identifiers or positions say
            that they are of different stars.

        Returns
        -------
        Embedding or list of Embedding
            Joint where both are given; that of the one modality, marked as such, where one is.

        Raises
        ------
        DesaError
            For files or objects that can't be used, or a part that the model lacks.
        DifferentStars
            If a light curve and a spectrum are not of the same star.
        ValueError
            If a star has neither, or the lists differ in length.
        """
        stars, single = given_stars(lightcurve, spectrum, same_star)
        found = [row for row, _ in self._embed(stars, prior)]
        return found[0] if single else found

    def embed_table(
        self,
        lightcurve: LightCurves = None,
        spectrum: Spectra = None,
        prior: Any = None,
        *,
        same_star: bool = False,
    ) -> Table:
        """Embed one star, or a list of stars, as a table; parameters and errors as `embed`'s.

        Returns
        -------
        astropy.table.Table
            A row a star: ``star_id``, ``modality``, and each vector as a column of arrays (NaN where a star
            has none); the metadata say of which model.
        """
        stars, _ = given_stars(lightcurve, spectrum, same_star)
        return vectors_table([row for row, _ in self._embed(stars, prior)], self)

    def _embed(self, stars: list[Star], prior: Any) -> list[Named]:
        check_modalities(self, stars)
        if self.joint is None and any(star.modality == "joint" for star in stars):
            self.require("dualformer")
        return embed_stars(self, stars, None if prior is None else prior_tensor(self, prior, len(stars)))

    def predict(
        self,
        lightcurve: LightCurves = None,
        spectrum: Spectra = None,
        *,
        same_star: bool = False,
        limits: Limits | None = None,
    ) -> Any:
        """Labels of one star, or of a list of stars, from the encoders' and the fine-tuned heads.

        Parameters
        ----------
        lightcurve, spectrum, same_star
            As in `embed`.
        limits
            Beyond what a prediction is flagged.

        Returns
        -------
        Predictions or list of Predictions
            A dictionary of label -> `desa.inference.predictions.Prediction` (median, unit, intervals, flag,
            reason): ``teff`` [K], ``log_g``, ``fe_h`` from a spectrum, ``prot`` [d] from a light curve, and
            the labels of `heads`.
        """
        stars, single = given_stars(lightcurve, spectrum, same_star)
        found = predict_stars(self, stars, limits)
        return found[0] if single else found

    def predict_table(
        self,
        lightcurve: LightCurves = None,
        spectrum: Spectra = None,
        *,
        same_star: bool = False,
        limits: Limits | None = None,
    ) -> Table:
        """Labels of one star, or of a list of stars, as a table.

        Parameters
        ----------
        lightcurve, spectrum, same_star
            As in `embed`.
        limits
            Beyond what a prediction is flagged.

        Returns
        -------
        astropy.table.Table
            A row a star: medians, 68 % and 90 % intervals, flags and reasons, with units; see
            `desa.inference.predict.predict_files`. ``to_pandas()`` makes a data frame of it.
        """
        return predict_table(self, lightcurve, spectrum, same_star=same_star, limits=limits)

    @property
    def summary(self) -> dict[str, str]:
        """What the model is, in a few words each: its parts, size, labels, data and device."""
        own = [
            (part, getattr(self.settings, f"objective_{part}").labels)
            for part in ("spectrum", "lightcurve")
            if getattr(self, f"{part}_head") is not None
        ]
        labels = [shown(label, 0.0)[0] for _, names in own for label in names]
        labels += [head.label for head in self.heads]
        return {
            "parts": ", ".join(SHOWN[part] for part in self.parts),
            "weights": f"{sum(weight.numel() for weight in self.parameters()):,}",
            "predicts": ", ".join(dict.fromkeys(labels)) or "nothing",
            "trained on": str(self.metadata.get("trained_on") or self.metadata.get("data") or "unknown data"),
            "device": str(self.device),
        }

    def __repr__(self) -> str:
        name = self.metadata.get("name", "")
        rows = "".join(f"\n  {key}: {value}" for key, value in self.summary.items())
        return f"<desa model{f' {name}' if name else ''}{rows}>"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><th>{key}</th><td>{escape(value)}</td></tr>" for key, value in self.summary.items()
        )
        return f"<p>desa model {escape(str(self.metadata.get('name', '')))}</p><table>{rows}</table>"
