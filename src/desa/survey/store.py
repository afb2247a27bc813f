"""Write and open a survey: a Parquet star table, memory-mapped Arrow light curves and spectra.

::

    survey/
      survey.json         format, kind, identity, files with their sha256
      stars.parquet       one row a star: identifiers, position, split, counts, labels
      lightcurves.parquet, spectra.parquet   index: which star each row is of, files, good samples
      lightcurves/        Arrow stream files; also a Hugging Face data set
      spectra/
      report.json         what came in and what was left out
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from desa.catalogs.label_names import LABELS
from desa.documents import Document, Hash, faults, read_json
from desa.errors import SurveyError
from desa.folders import claimed
from desa.parquet import read_parquet
from desa.survey import schema
from desa.survey.schema import BANDS, EARLIER_STEP, FORMAT
from desa.survey.shards import Shards, check_content, json_bytes, note_of
from desa.survey.write import (
    KINDS,
    PLACES,
    SHARD_ROWS,
    Modality,
    finish_survey,
    is_survey_folder,
    write_lightcurves,
    write_spectra,
)
from desa.types import LightCurve, Spectrum, SpectrumGrid

LISTS: dict[Modality, tuple[str, ...]] = {
    "lightcurves": ("quarters", "flux", "flux_err_ppt"),
    "spectra": ("flux", "ivar"),
}


MAX_CONTENT = 1 << 28
"""Bytes of ``survey.json`` at most: a shard takes some 200."""


class _ShardFile(Document):
    """A data file of a survey: below its modality's folder, never elsewhere."""

    file: Annotated[str, Field(pattern=r"^data-[\w-]{1,40}\.arrow$")]
    rows: Annotated[int, Field(ge=0)]
    sha256: Hash


class _Tables(Document):
    """Checksums of a survey's tables."""

    stars: Annotated[Hash, Field(alias="stars.parquet")]
    lightcurves: Annotated[Hash, Field(alias="lightcurves.parquet")]
    spectra: Annotated[Hash, Field(alias="spectra.parquet")]


class _Content(Document):
    """What ``survey.json`` must say."""

    kind: Literal["real", "mock", "unknown"]
    identity: Hash
    stars: Annotated[int, Field(ge=0)]
    tables: _Tables
    lightcurves: list[_ShardFile]
    spectra: list[_ShardFile]


class SurveyWriter:
    """Write a survey object by object.

    Objects must come in the same order each time. Shards that an interrupted run with the same
    `fingerprint` finished are kept: `lightcurves_done` and `spectra_done` say how many objects need not
    be made again (give only the later ones).

    Parameters
    ----------
    path
        Folder to make.
    kind
        ``"real"``, ``"mock"`` or ``"unknown"``.
    shard_size
        Rows a file, of both modalities; None: `SHARD_ROWS`.
    fingerprint
        Hash of everything that the objects come from. Empty: nothing is kept.

    Raises
    ------
    OutputError
        If the folder is somebody else's, can't be written, or another run is filling it.
    """

    def __init__(
        self, path: str | Path, kind: str = "real", shard_size: int | None = None, fingerprint: str = ""
    ) -> None:
        if kind not in KINDS:
            raise SurveyError(f"a survey is {', '.join(KINDS[:-1])} or {KINDS[-1]}, not {kind!r}")
        self.path, self.kind = Path(path), kind
        self._sizes = {name: shard_size or rows for name, rows in SHARD_ROWS.items()}
        self._fingerprint = hashlib.sha256(json_bytes([fingerprint, self._sizes])).hexdigest()
        self._claim = ExitStack()
        self._claim.enter_context(claimed(self.path, "survey", places=PLACES, ours=is_survey_folder))
        (self.path / "survey.json").unlink(missing_ok=True)
        self._shards: dict[Modality, int] = {"lightcurves": 0, "spectra": 0}
        self._done = {modality: self._resume(modality) if fingerprint else 0 for modality in self._shards}
        self._curves: list[LightCurve] = []
        self._spectra: list[Spectrum] = []

    def _resume(self, modality: Modality) -> int:
        rows = 0
        while note := note_of(self.path / modality, self._shards[modality], self._fingerprint):
            if note["rows"] < self._sizes[modality]:
                break
            rows += note["rows"]
            self._shards[modality] += 1
        return rows

    @property
    def lightcurves_done(self) -> int:
        """Light curves that an earlier, interrupted run has stored for good."""
        return self._done["lightcurves"]

    @property
    def spectra_done(self) -> int:
        """Spectra that an earlier, interrupted run has stored for good."""
        return self._done["spectra"]

    def add_lightcurve(self, curve: LightCurve) -> None:
        """Add a light curve; it must name its star."""
        self._curves.append(curve)
        if len(self._curves) == self._sizes["lightcurves"]:
            self._flush_lightcurves()

    def add_spectrum(self, spectrum: Spectrum) -> None:
        """Add a spectrum; it must name its star."""
        self._spectra.append(spectrum)
        if len(self._spectra) == self._sizes["spectra"]:
            self._flush_spectra()

    def _flush_lightcurves(self) -> None:
        if self._curves:
            index = self._shards["lightcurves"]
            write_lightcurves(self.path, index, self._curves, fingerprint=self._fingerprint)
            self._shards["lightcurves"], self._curves = index + 1, []

    def _flush_spectra(self) -> None:
        if self._spectra:
            index = self._shards["spectra"]
            write_spectra(self.path, index, self._spectra, fingerprint=self._fingerprint)
            self._shards["spectra"], self._spectra = index + 1, []

    def close(self) -> None:
        """Let the folder go, unfinished: another run can go on from here."""
        self._claim.close()

    def finish(self, stars: pa.Table | None = None, report: dict[str, Any] | None = None) -> Survey:
        """Write the star table and make the survey whole.

        Parameters
        ----------
        stars
            ``star_id`` and labels (canonical names, see `desa.catalogs.label_names`), or None. Counts,
            splits and what the objects say of position and magnitude are filled in.
        report
            Content of ``report.json``.
        """
        self._flush_lightcurves()
        self._flush_spectra()
        with self._claim:
            finish_survey(self.path, kind=self.kind, counts=self._shards, stars=stars, report=report or {})
        return Survey.open(self.path)


class Survey:
    """An open survey. Arrays are read-only views of the files; copies in other processes share them."""

    def __init__(self, path: Path, content: dict[str, Any]) -> None:
        self.path = path
        self.content = content
        self.kind: str = content["kind"]
        self.identity: str = content["identity"]
        self._columns: dict[tuple[Modality, str], NDArray[Any]] = {}
        self._compared: set[str] = set()
        self._own_split: NDArray[np.str_] | None = None
        self._shards = {
            modality: Shards(
                path / modality,
                [(shard["file"], shard["rows"]) for shard in content[modality]],
                lists,
                [shard["sha256"] for shard in content[modality]],
            )
            for modality, lists in LISTS.items()
        }

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        """Travel to other processes as a path."""
        return (_reopened, (self.path, self._own_split))

    def with_split(self, split: NDArray[np.str_]) -> Survey:
        """The same survey with its stars split otherwise, as cross-validation asks.

        Parameters
        ----------
        split
            (n_stars,) ``"train"``, ``"valid"``, ``"calibration"`` or ``"test"``; stars of any other name take
            no part.
        """
        other = Survey(self.path, self.content)
        other._own_split = other.split = np.asarray(split, dtype=np.str_)
        names = "\n".join([self.identity, *other.split.tolist()])
        other.identity = hashlib.sha256(names.encode()).hexdigest()[: len(self.identity)]
        return other

    @classmethod
    def open(cls, path: str | Path) -> Survey:
        """Open a survey; nothing but ``survey.json`` is read yet.

        Raises
        ------
        SurveyError
            If there is no finished survey, or it is of another version of the format.
        """
        path = Path(path)
        try:
            content = read_json(path / "survey.json", MAX_CONTENT)
        except FileNotFoundError:
            unfinished = any((path / modality).is_dir() for modality in LISTS)
            advice = "if it is unfinished, run the same command again" if unfinished else "see desa ingest"
            raise SurveyError(f"{path}: no survey (no survey.json); {advice}") from None
        except (OSError, ValueError) as error:
            raise SurveyError(f"{path / 'survey.json'}: can't be read ({error})") from None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise SurveyError(f"{path}: a survey of another format than {FORMAT}; make it again")
        try:
            _Content.model_validate(content)
        except ValidationError as error:
            raise SurveyError(f"{path / 'survey.json'}: damaged ({faults(error)}); make it again") from None
        return cls(path, content)

    @cached_property
    def stars(self) -> pa.Table:
        """The star table."""
        return self._table("stars")

    def _table(self, name: str, columns: list[str] | None = None) -> pa.Table:
        """A table of the survey's; its file is compared with its checksum when it is first read."""
        path = self.path / f"{name}.parquet"
        try:
            if path.name not in self._compared:
                check_content(path, self.content["tables"][path.name])
                self._compared.add(path.name)
            return read_parquet(path, columns)
        except (OSError, pa.ArrowInvalid) as error:
            raise SurveyError(f"{path}: can't be read ({error}); make the survey again") from None

    @property
    def n_stars(self) -> int:
        """Number of stars."""
        return int(self.content["stars"])

    @property
    def n_lightcurves(self) -> int:
        """Number of light curves."""
        return len(self._shards["lightcurves"])

    @property
    def n_spectra(self) -> int:
        """Number of spectra."""
        return len(self._shards["spectra"])

    @cached_property
    def lightcurve_star(self) -> NDArray[np.int64]:
        """(n_lightcurves,) row in `stars` of each light curve."""
        return self._index("lightcurves", "star").astype(np.int64)

    @cached_property
    def spectrum_star(self) -> NDArray[np.int64]:
        """(n_spectra,) row in `stars` of each spectrum."""
        return self._index("spectra", "star").astype(np.int64)

    def _index(self, modality: Modality, column: str) -> NDArray[Any]:
        """A column of a modality's index, read once; NaN for one that older surveys do not have."""
        known = schema.index_schema(modality).names
        if column not in known:
            raise SurveyError(f"the index of {modality} has no {column!r}; it has {', '.join(known)}")
        if (modality, column) not in self._columns:
            table = self._table(modality, [column])
            values = (
                np.asarray(table.column(column).to_numpy(zero_copy_only=False))
                if column in table.column_names
                else np.full(len(self._shards[modality]), np.nan)
            )
            self._columns[modality, column] = values
        return self._columns[modality, column]

    def lightcurve_column(self, name: str) -> NDArray[Any]:
        """(n_lightcurves,) column of the index: ``n_good``, ``magnitude``, ...; NaN where unknown."""
        return self._index("lightcurves", name)

    def spectrum_column(self, name: str) -> NDArray[Any]:
        """(n_spectra,) column of the index: ``snr_g``, ``z``, ``obsid``, ...; NaN where unknown."""
        return self._index("spectra", name)

    @cached_property
    def split(self) -> NDArray[np.str_]:
        """(n_stars,) split of each star."""
        return np.asarray(self.stars.column("split").to_pylist(), dtype=np.str_)

    def labels(self, name: str) -> NDArray[np.float64]:
        """(n_stars,) values of a label; NaN where missing, and everywhere if the survey lacks the label.

        ``log_prot`` is log10 of ``prot``.

        Raises
        ------
        SurveyError
            If it is no known label's name and no numeric column, or a text label.
        """
        if name == "log_prot" and name not in self.stars.column_names:
            with np.errstate(all="ignore"):
                return np.asarray(np.log10(self.labels("prot")))
        if name not in self.stars.column_names:
            if name.removesuffix("_err") in LABELS:
                return np.full(self.stars.num_rows, np.nan)
            raise SurveyError(f"no label {name!r}; labels are {', '.join(LABELS)}")
        column = self.stars.column(name)
        if pa.types.is_string(column.type):
            raise SurveyError(f"{name} is text; read it from Survey.stars")
        values = column.cast(pa.float64()) if not pa.types.is_boolean(column.type) else column.cast(pa.int8())
        return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)

    def lightcurve_flux(self, row: int) -> NDArray[np.float32]:
        """(L,) relative flux of a light curve, NaN in gaps: a view."""
        return self._shards["lightcurves"].array("flux", row)

    def spectrum_arrays(self, row: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(N,) flux and (N,) inverse variance of a spectrum: views."""
        shards = self._shards["spectra"]
        return shards.array("flux", row), shards.array("ivar", row)

    def spectrum_grid(self, row: int) -> SpectrumGrid:
        """A spectrum's pixels."""
        shards = self._shards["spectra"]
        start = float(shards.scalar("log_wavelength_start", row))
        step = float(shards.scalar("log_wavelength_step", row, EARLIER_STEP))
        return SpectrumGrid(start, step, len(shards.array("flux", row)))

    def _facts(self, modality: Modality, names: Sequence[str], row: int) -> dict[str, Any]:
        """What the index says of a row: it keeps numbers in full precision."""
        return {name: self._index(modality, name)[row].item() for name in names}

    def _sources(self, modality: Modality, row: int) -> tuple[str, ...]:
        return tuple(self._index(modality, "files")[row])

    def lightcurve(self, row: int) -> LightCurve:
        """Light curve `row`, as it was read but for errors of half precision."""
        shards = self._shards["lightcurves"]
        scalars = ("first_cadence", "start_bkjd", "cadence_days", "star_id", "mission")
        return LightCurve(
            flux=shards.array("flux", row),
            flux_err=shards.array("flux_err_ppt", row).astype(np.float32) / np.float32(1000),
            quarters=tuple(shards.array("quarters", row).tolist()),
            sources=self._sources("lightcurves", row),
            meta=self._facts("lightcurves", ["median_flux"], row),
            **self._facts("lightcurves", ("ra", "dec", "magnitude"), row),
            **{name: shards.scalar(name, row) for name in scalars},
        )

    def spectrum(self, row: int) -> Spectrum:
        """Spectrum `row`, as it was read but for the or-mask."""
        shards = self._shards["spectra"]
        flux, ivar = self.spectrum_arrays(row)
        grid = self.spectrum_grid(row)
        texts = ("star_id", "obsid", "release", "object_class", "object_subclass")
        named = {name: shards.scalar(name, row) for name in texts}
        bands = self._facts("spectra", [f"snr_{band}" for band in BANDS], row)
        return Spectrum(
            flux=flux,
            ivar=ivar,
            log_wavelength_start=grid.start,
            log_wavelength_step=grid.step,
            snr={name.removeprefix("snr_"): value for name, value in bands.items()},
            sources=self._sources("spectra", row),
            meta={
                "is_star": named["object_class"] in ("STAR", ""),
                **self._facts("spectra", ["helio_rv"], row),
            },
            **self._facts("spectra", ("ra", "dec", "z"), row),
            **named,
        )


def _reopened(path: Path, split: NDArray[np.str_] | None) -> Survey:
    survey = Survey.open(path)
    return survey if split is None else survey.with_split(split)
