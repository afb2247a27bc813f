"""A table of embeddings with what a survey says of the same stars: what the page shows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from desa.errors import UnsupportedFile
from desa.explore.columns import Column, is_shown, read_column
from desa.explore.predictions import (
    PREDICTED,
    WHY,
    calibration_of,
    predicted_labels,
    read_predictions,
)
from desa.inference.embed import VECTORS
from desa.parquet import open_parquet
from desa.search.data import embeddings_expected, vectors_of
from desa.survey.selection import lightcurves_of, spectra_of
from desa.survey.store import Survey

Floats = NDArray[np.float32]

SPECTRUM_COLUMNS = ("snr_g", "snr_r", "snr_i", "z", "release", "object_subclass")
"""Columns of a survey's index of spectra that go beside a row, for the row's own spectrum."""


class ExploreTable:
    """Rows of a table of embeddings, and their columns from the table and from a survey.

    Predicted labels are called ``<label>_predicted``; a survey's column of the same name as one of the
    table's is called ``<name>_catalogue``.

    Parameters
    ----------
    path
        Parquet table made by ``desa embed``; more columns of numbers and words in it are shown too.
    survey
        Where light curves, spectra and labels are, or None.
    predictions
        A table by ``desa predict`` of the same stars, or None.

    Raises
    ------
    DamagedFile
        If the table can't be read.
    UnsupportedFile
        If it is no table of embeddings, or is empty.
    """

    def __init__(
        self, path: str | Path, survey: Survey | None = None, predictions: str | Path | None = None
    ) -> None:
        self.path, self.survey = Path(path), survey
        with embeddings_expected(self.path):
            self._file = open_parquet(self.path)
        schema = self._file.schema_arrow
        self.vector_names = tuple(name for name in VECTORS if name in schema.names)
        if "star_id" not in schema.names or not self.vector_names:
            raise UnsupportedFile(
                self.path, "no table of embeddings: it has no star_id or no vectors", "see desa embed"
            )
        if not self._file.metadata.num_rows:
            raise UnsupportedFile(self.path, "a table of embeddings without a row", "embed some stars first")
        metadata = schema.metadata or {}
        self.facts = {
            key.decode().removeprefix("desa."): value.decode("utf-8", "replace")
            for key, value in metadata.items()
            if key.startswith(b"desa.")
        }
        self.star_id = self._strings("star_id")
        self.obsid = self._strings("obsid")
        self.modality = self._strings("modality")
        self.columns: dict[str, Column] = {}
        self._values: dict[str, Floats] = {}
        self.predicted: tuple[str, ...] = ()
        self.reasons: dict[str, pa.Array] = {}
        own = [field.name for field in schema if is_shown(field)]
        self._add_table({name: self._file.read([name]).column(0) for name in own}, "table")
        self.predictions_said = ""
        if predictions is not None:
            found = calibration_of(predictions) or "it does not say what its intervals were calibrated on"
            self.predictions_said = f"{Path(predictions).name}: {found}"
            names, spectra = self.star_id.to_pylist(), self.obsid.to_pylist()
            self._add_table(read_predictions(predictions, names, spectra), "predictions")
        if survey is not None:
            self._add_survey(survey)

    def __len__(self) -> int:
        return int(self._file.metadata.num_rows)

    def _strings(self, name: str) -> pa.Array:
        if name not in self._file.schema_arrow.names:
            return pa.array([""] * len(self), pa.string())
        column = self._file.read([name]).column(0)
        return pc.fill_null(column.cast(pa.string()), "").combine_chunks()

    @property
    def kind(self) -> str:
        """What the data are: ``"real"``, ``"mock"`` or ``"unknown"``."""
        if self.survey is not None:
            return self.survey.kind
        word = self.facts.get("data", "").partition(" ")[0]
        return word if word in {"real", "mock"} else "unknown"

    @cached_property
    def modalities(self) -> dict[str, int]:
        """Rows of each modality that there is."""
        counts = self.modality.value_counts().to_pylist()
        return {item["values"]: item["counts"] for item in counts if item["values"]}

    @cached_property
    def warning(self) -> str:
        """What a user must know of table, model and survey, or nothing."""
        said = []
        learned = self.facts.get("trained_on", "")
        if self.kind == "real" and "mock" in learned:
            what = learned if "real" in learned else "mock data only"
            said.append(f"The data are real, but the model has learned from {what}.")
        made_of = self.facts.get("data", "")
        named = " survey " in made_of
        if self.survey is not None and named and made_of.rpartition(" ")[2] != self.survey.identity:
            found = int(np.count_nonzero(self.survey_row >= 0))
            said.append(
                f"The embeddings were made from another survey ({made_of}); "
                f"{found} of {len(self)} rows name a star of this one."
            )
        return " ".join(said)

    def _add_table(self, columns: Mapping[str, pa.ChunkedArray], source: str) -> None:
        """Add columns, predicted labels under their own names."""
        labels = predicted_labels(columns)
        self.predicted = tuple(dict.fromkeys((*self.predicted, *labels)))
        for name, values in columns.items():
            label = name.removesuffix(WHY)
            if label != name and label in labels:
                self.reasons[label] = values.cast(pa.string()).combine_chunks()
                continue
            found = read_column(name + PREDICTED if name in labels else name, values, source)
            if found is not None:
                self.add(*found)

    def add(self, column: Column, values: Floats) -> None:
        """Add a column, in place of one of the same key."""
        if values.shape != (len(self),):
            raise ValueError(f"{column.key} has {values.shape} values for {len(self)} rows")
        self.columns[column.key] = column
        self._values[column.key] = values

    @cached_property
    def survey_row(self) -> NDArray[np.int64]:
        """(N,) each row's place in the survey's star table; -1 where it isn't there."""
        if self.survey is None:
            return np.full(len(self), -1)
        return _places(self.star_id, self.survey.stars.column("star_id"))

    @cached_property
    def lightcurve_row(self) -> NDArray[np.int64]:
        """(N,) each row's light curve in the survey, the star's best; -1 where there is none."""
        if self.survey is None or not self.survey.n_lightcurves:
            return np.full(len(self), -1)
        best = lightcurves_of(self.survey).choose(np.maximum(self.survey_row, 0))
        return np.where(self.survey_row >= 0, best, -1)

    @cached_property
    def spectrum_row(self) -> NDArray[np.int64]:
        """(N,) each row's spectrum in the survey: the one of its obsid, else the star's best."""
        if self.survey is None or not self.survey.n_spectra:
            return np.full(len(self), -1)
        best = spectra_of(self.survey).choose(np.maximum(self.survey_row, 0))
        of_star = np.where(self.survey_row >= 0, best, -1)
        known = pa.array(self.survey.spectrum_column("obsid").astype(str).tolist(), pa.string())
        own = _places(pc.if_else(pc.equal(self.obsid, ""), None, self.obsid), known)
        return np.where(own >= 0, own, of_star)

    @cached_property
    def ra(self) -> NDArray[np.float64]:
        """(N,) right ascension in degrees (ICRS), NaN where unknown: the table's own, else the survey's."""
        return self._exact("ra", np.nan)

    @cached_property
    def dec(self) -> NDArray[np.float64]:
        """(N,) declination in degrees (ICRS), NaN where unknown."""
        return self._exact("dec", np.nan)

    @cached_property
    def gaia(self) -> NDArray[np.int64]:
        """(N,) number of the star in Gaia DR3, 0 where unknown."""
        return np.asarray(self._exact("gaia", 0, pa.int64()), dtype=np.int64)

    def _exact(self, name: str, missing: float, kind: pa.DataType = pa.float64()) -> NDArray[Any]:
        """A column with all its digits, which float32 has not."""
        if name in self._file.schema_arrow.names:
            column = self._file.read([name]).column(0)
        elif self.survey is not None and name in self.survey.stars.column_names:
            places = pa.array(self.survey_row, mask=self.survey_row < 0)
            column = self.survey.stars.column(name).take(places)
        else:
            return np.full(len(self), missing)
        return np.asarray(pc.fill_null(column.cast(kind, safe=False), missing).to_numpy())

    def release_of(self, row: int) -> str:
        """The survey's release that a row's spectrum is from; empty where it is not known."""
        column = self.columns.get("release")
        if column is None or column.categories is None or not np.isfinite(self.values("release")[row]):
            return ""
        return column.categories[int(self.values("release")[row])]

    def _add_survey(self, survey: Survey) -> None:
        stars = survey.stars
        places = pa.array(self.survey_row, mask=self.survey_row < 0)
        for field in stars.schema:
            if is_shown(field):
                self._add_from_survey(field.name, stars.column(field.name).take(places))
        rows = self.spectrum_row
        if not (rows >= 0).any():
            return
        places = pa.array(rows, mask=rows < 0)
        for name in SPECTRUM_COLUMNS:
            values = pa.array(survey.spectrum_column(name).tolist())
            self._add_from_survey(name, pa.chunked_array([values]).take(places))

    def _add_from_survey(self, name: str, values: pa.ChunkedArray) -> None:
        if pa.types.is_null(values.type):
            return
        taken = name in self.columns
        found = read_column(f"{name}_catalogue" if taken else name, values, "survey")
        if found is not None:
            self.add(*found)

    def values(self, key: str) -> Floats:
        """(N,) values of a column, NaN where missing; of words the place among `Column.categories`.

        Raises
        ------
        KeyError
            If there is no such column.
        """
        return self._values[key]

    def vector_table(self, name: str) -> pa.Table:
        """The table's column of vectors alone."""
        return self._file.read([name])

    def vectors(self, name: str) -> tuple[NDArray[np.int64], Floats]:
        """Rows that have a vector, and these vectors, (M,) and (M, D)."""
        return vectors_of(self.vector_table(name), name, str(self.path))


def _places(names: pa.Array, known: pa.ChunkedArray | pa.Array) -> NDArray[np.int64]:
    """Where each name is among the known ones; -1 where it isn't."""
    if isinstance(known, pa.ChunkedArray):
        known = known.combine_chunks()
    places = pc.index_in(names, value_set=known, skip_nulls=True)
    return np.asarray(pc.fill_null(places, -1).to_numpy(zero_copy_only=False), dtype=np.int64)
