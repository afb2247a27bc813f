"""What every model of a benchmark starts from: the same encoders' features, pairs, splits and labels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from desa.arrays import read_array, written_array
from desa.config import Settings
from desa.errors import SurveyError
from desa.inference.encode import lightcurve_features, spectrum_features
from desa.models.network import Network
from desa.survey.batches import LightCurveDataset
from desa.survey.selection import Pairs, best_pairs, lightcurves_of, pairs_of, spectra_of
from desa.survey.store import Survey
from desa.training.pairs import standardisation
from desa.training.stages import joined_model

Array = NDArray[np.float32]
ENCODERS, FEATURES = "encoders", "features"


@dataclass(frozen=True)
class Track:
    """Which stars, of which kind of survey, candidates are made for and tasks are done on.

    Parameters
    ----------
    name
        As messages say it.
    needs
        What a star must have: ``"spectrum"``, ``"lightcurve"``, or both.
    subject
        Name of the candidate that the others are tested against.
    kind
        Of the survey; empty for any.
    given
        The encoders are those of a model that is given, not trained here.
    """

    name: str
    needs: tuple[str, ...]
    subject: str
    kind: str = ""
    given: bool = False

    def suits(self, survey: Survey, *, given: bool) -> bool:
        """Whether a survey, with a given model or without one, has anything for this track."""
        if (self.kind and self.kind != survey.kind) or (self.given and not given):
            return False
        return len(self.stars(survey)) > 0

    def stars(self, survey: Survey) -> Pairs:
        """One row a star that has all it needs; row -1 stands for a modality that the track does not read."""
        if len(self.needs) == 2:
            return best_pairs(survey)
        if "spectrum" in self.needs:
            spectra = spectra_of(survey)
            none = np.full(len(spectra.stars), -1)
            return Pairs(spectra.stars, none, spectra.choose(spectra.stars))
        curves = lightcurves_of(survey)
        none = np.full(len(curves.stars), -1)
        return Pairs(curves.stars, curves.choose(curves.stars), none)


PAIRS = Track("stars with both", ("spectrum", "lightcurve"), "desa")
REAL_SPECTRA = Track("real spectra", ("spectrum",), "spectrum_encoder", "real", given=True)
REAL_LIGHTCURVES = Track("real light curves", ("lightcurve",), "lightcurve_encoder", "real", given=True)


@dataclass(frozen=True)
class Inputs:
    """Frozen encoders of a benchmark folder and what they say of a survey.

    Parameters
    ----------
    survey
        The survey.
    settings
        All settings.
    folder
        The benchmark's folder, with ``encoders/`` trained where no model is given.
    model
        Folder of a model whose encoders are used in place of trained ones.
    track
        Which stars.
    """

    survey: Survey
    settings: Settings
    folder: Path
    model: Path | None = None
    track: Track = PAIRS

    @cached_property
    def spectrum_model(self) -> Network:
        """The spectrum encoder."""
        return Network.load(self.model or self.folder / ENCODERS / "spectrum" / "model")

    @cached_property
    def lightcurve_model(self) -> Network:
        """The light-curve encoder."""
        return Network.load(self.model or self.folder / ENCODERS / "lightcurve" / "model")

    @cached_property
    def spectrum(self) -> Array:
        """(n_spectra, F1) features."""
        return spectrum_features(self.spectrum_model, self.survey, self.folder / FEATURES)

    @cached_property
    def lightcurve(self) -> Array:
        """(n_lightcurves, F2) features."""
        return lightcurve_features(self.lightcurve_model, self.survey, self.folder / FEATURES)

    @cached_property
    def pairs(self) -> Pairs:
        """Every pair of a light curve and a spectrum of one star."""
        return pairs_of(self.survey)

    @cached_property
    def stars(self) -> Pairs:
        """One row a star: what the tasks are done on, in this order."""
        return self.track.stars(self.survey)

    @cached_property
    def split(self) -> NDArray[np.str_]:
        """(N,) split of each of `stars`."""
        return np.asarray(self.survey.split[self.stars.star])

    @cached_property
    def star_spectrum(self) -> Array:
        """(N, F1) spectrum features of `stars`."""
        return np.array(self.spectrum[self.stars.spectrum])

    @cached_property
    def star_lightcurve(self) -> Array:
        """(N, F2) light-curve features of `stars`."""
        return np.array(self.lightcurve[self.stars.lightcurve])

    def label(self, name: str) -> NDArray[np.float64]:
        """(N,) a numeric label of `stars`, NaN where missing."""
        return np.asarray(self.survey.labels(name)[self.stars.star])

    def text_label(self, name: str) -> NDArray[np.str_]:
        """(N,) a text label of `stars`, empty where missing or where the survey lacks it."""
        if name not in self.survey.stars.column_names:
            return np.full(len(self.stars), "")
        values = [value or "" for value in self.survey.stars.column(name).to_pylist()]
        return np.asarray(values, dtype=np.str_)[self.stars.star]

    def crops(self) -> LightCurveDataset:
        """Light curves of the survey as the encoder reads them: the crops with most good samples."""
        length = self.lightcurve_model.settings.preprocess_lightcurve.length
        return LightCurveDataset(self.survey, None, length, crop="best")

    @property
    def snr(self) -> NDArray[np.float64]:
        """(N,) S/N in g of the spectra of `stars`."""
        return np.asarray(self.survey.spectrum_column("snr_g"), dtype=np.float64)[self.stars.spectrum]

    @cached_property
    def constants(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Means and deviations of both features over training pairs."""
        train = self.pairs.where(self.survey.split[self.pairs.star] == "train")
        return standardisation(train, self.spectrum, self.lightcurve)

    def kept(self, name: str, make: Callable[[], Array]) -> Array:
        """An array of the folder, made at its first use."""
        path = self.folder / FEATURES / f"{name}.npy"
        found = read_array(path)
        if found is None:
            found = make()
            with written_array(path, found.dtype, found.shape) as rows:
                rows[...] = found
        return np.array(found)

    @cached_property
    def joined(self) -> Network:
        """Both encoders with their preprocessing and a new DualFormer, in one model."""
        return joined_model(self.spectrum_model, self.lightcurve_model, self.settings)

    @property
    def data(self) -> str:
        """What the data are, for every table and figure."""
        return {"mock": "mock survey", "real": "real stars"}.get(self.survey.kind, "data of unknown kind")


def check(inputs: Inputs) -> None:
    """Refuse a survey that no alignment can be trained or tested on.

    Raises
    ------
    SurveyError
        If too few stars have both modalities.
    """
    counts = {name: int((inputs.split == name).sum()) for name in ("train", "valid", "test")}
    if counts["train"] < 40 or counts["test"] < 10 or counts["valid"] < 10:
        said = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise SurveyError(
            f"{inputs.survey.path}: too few stars with both a light curve and a spectrum for a benchmark "
            f"({said}; at least 40 train, 10 valid and 10 test are needed)"
        )
