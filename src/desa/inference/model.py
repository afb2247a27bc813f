"""The user's object: a trained network that embeds stars and predicts their labels."""

from __future__ import annotations

from typing import Any

from astropy.table import Table

from desa.inference.embed import Named, embed_stars, prior_tensor, vectors_table
from desa.inference.objects import LightCurves, Spectra, check_modalities, given_stars, predict
from desa.inference.predict import predict_table
from desa.models.network import Network
from desa.types import Star


class Desa(Network):
    """A trained network with what its user does with it; `desa.load` makes one."""

    def embed(self, lightcurve: LightCurves = None, spectrum: Spectra = None, prior: Any = None) -> Any:
        """Embed one star, or a list of stars.

        Parameters
        ----------
        lightcurve
            `desa.LightCurve`, ``lightkurve`` object or path; or a list of them, one a star (a star's own
            entry may be a list of its quarters' paths, or None).
        spectrum
            `desa.Spectrum`, ``specutils`` object or path; or a list, in the same order.
        prior
            (6,) or (3,) numbers of the model's prior, or (B, ...); NaN or None where missing.

        Returns
        -------
        Embedding or list of Embedding
            Joint where both are given; that of the one modality, marked as such, where one is.

        Raises
        ------
        DesaError
            For files or objects that can't be used, or a part that the model lacks.
        ValueError
            If a star has neither, or the lists differ in length.
        """
        stars, single = given_stars(lightcurve, spectrum)
        found = [row for row, _ in self._embed(stars, prior)]
        return found[0] if single else found

    def embed_table(
        self, lightcurve: LightCurves = None, spectrum: Spectra = None, prior: Any = None
    ) -> Table:
        """Embed one star, or a list of stars, as a table; parameters and errors as `embed`'s.

        Returns
        -------
        astropy.table.Table
            A row a star: ``star_id``, ``modality``, and each vector as a column of arrays (NaN where a star
            has none); the metadata say of which model.
        """
        stars, _ = given_stars(lightcurve, spectrum)
        return vectors_table([row for row, _ in self._embed(stars, prior)], self)

    def _embed(self, stars: list[Star], prior: Any) -> list[Named]:
        check_modalities(self, stars)
        if any(star.modality == "joint" for star in stars):
            self.require("dualformer")
        return embed_stars(self, stars, None if prior is None else prior_tensor(self, prior, len(stars)))

    def predict(self, lightcurve: LightCurves = None, spectrum: Spectra = None) -> Any:
        """Labels of one star, or of a list of stars, from the encoders' and the fine-tuned heads.

        Parameters
        ----------
        lightcurve, spectrum
            As in `embed`.

        Returns
        -------
        dict or list of dict
            label -> `desa.inference.objects.Prediction`: ``teff`` [K], ``log_g``, ``fe_h`` from a spectrum,
            ``prot`` [d] from a light curve, and the labels of `heads`.
        """
        stars, single = given_stars(lightcurve, spectrum)
        found = predict(self, stars)
        return found[0] if single else found

    def predict_table(
        self, lightcurve: LightCurves = None, spectrum: Spectra = None, *, limits: Any = None
    ) -> Table:
        """Labels of one star, or of a list of stars, as a table.

        Parameters
        ----------
        lightcurve, spectrum
            As in `embed`.
        limits
            `desa.inference.quality.Limits`: beyond what a prediction is flagged.

        Returns
        -------
        astropy.table.Table
            A row a star: medians, 68 % and 90 % intervals, flags and reasons, with units; see
            `desa.inference.predict.predict_files`. ``to_pandas()`` makes a data frame of it.
        """
        return predict_table(self, lightcurve, spectrum, limits=limits)
