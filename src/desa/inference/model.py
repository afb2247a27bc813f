"""The user's object: a trained network that embeds stars and predicts their labels."""

from __future__ import annotations

from typing import Any

from astropy.table import Table

from desa.inference import objects
from desa.inference.embed import vectors_table
from desa.inference.predict import predict_table
from desa.models.network import Network


class Desa(Network):
    """A trained network with what its user does with it; `desa.load` makes one."""

    def embed(self, lightcurve: Any = None, spectrum: Any = None, prior: Any = None) -> Any:
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
        stars = objects.Stars(lightcurve, spectrum)
        return stars.one_or_all(objects.embed(self, stars, prior))

    def embed_table(self, lightcurve: Any = None, spectrum: Any = None, prior: Any = None) -> Table:
        """Embed one star, or a list of stars, as a table; parameters and errors as `embed`'s.

        Returns
        -------
        astropy.table.Table
            A row a star: ``star_id``, ``modality``, and each vector as a column of arrays (NaN where a star
            has none); the metadata say of which model.
        """
        stars = objects.Stars(lightcurve, spectrum)
        return vectors_table(objects.embed(self, stars, prior), self)

    def predict(self, lightcurve: Any = None, spectrum: Any = None) -> Any:
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
        stars = objects.Stars(lightcurve, spectrum)
        return stars.one_or_all(objects.predict(self, stars))

    def predict_table(self, lightcurve: Any = None, spectrum: Any = None, *, limits: Any = None) -> Table:
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
