"""A survey on disk: a table of stars, and their light curves and spectra in memory-mapped Arrow files.

``stars.parquet`` has a row a star; ``lightcurves/`` and ``spectra/`` are folders that Hugging Face
``datasets.load_from_disk`` opens too; ``rows.npz`` says which star each row belongs to; ``survey.json`` says
what the data are; ``report.json`` what came in and what was left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from desa.errors import SurveyError
from desa.files import written_whole
from desa.survey.schema import (
    LIGHTCURVES,
    SPECTRA,
    lightcurve_batch,
    lightcurve_of,
    spectrum_batch,
    spectrum_of,
)
from desa.survey.shards import ShardedTable, shard_name, write_folder_description, write_shard
from desa.survey.splits import split_of
from desa.types import LightCurve, Spectrum

FORMAT = 1
FOLDERS = {"lightcurves": LIGHTCURVES, "spectra": SPECTRA}


class Survey:
    """An opened survey; see the module's text for what is on disk.

    Attributes
    ----------
    stars
        The star table.
    kind
        ``"mock"`` or ``"real"``.
    identity
        Hash of the contents: the same data give the same.
    lightcurve_star, spectrum_star
        Row of the star table each light curve and spectrum belongs to.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            facts = json.loads((self.path / "survey.json").read_text())
        except (OSError, ValueError):
            raise SurveyError(
                f"{path}: no finished survey here; make one with `desa ingest` or `desa simulate`"
            ) from None
        if facts.get("format") != FORMAT:
            raise SurveyError(
                f"{path}: format {facts.get('format')}, this desa reads {FORMAT}; make it again"
            )
        self.kind: str = facts["kind"]
        self.identity: str = facts["identity"]
        self.stars: pa.Table = pq.read_table(self.path / "stars.parquet")
        self._lightcurves = ShardedTable(self.path / "lightcurves")
        self._spectra = ShardedTable(self.path / "spectra")
        with np.load(self.path / "rows.npz") as rows:
            self.lightcurve_star: NDArray[np.int64] = rows["lightcurves"]
            self.spectrum_star: NDArray[np.int64] = rows["spectra"]
        if len(self.lightcurve_star) != len(self._lightcurves) or len(self.spectrum_star) != len(
            self._spectra
        ):
            raise SurveyError(f"{path}: rows.npz does not fit the Arrow files; make the survey again")

    @classmethod
    def open(cls, path: str | Path) -> Survey:
        """Open a finished survey.

        Raises
        ------
        SurveyError
            If there is none, or of another format, or damaged.
        """
        return cls(path)

    @property
    def n_stars(self) -> int:
        """Number of stars."""
        return int(self.stars.num_rows)

    @property
    def n_lightcurves(self) -> int:
        """Number of light curves."""
        return len(self._lightcurves)

    @property
    def n_spectra(self) -> int:
        """Number of spectra."""
        return len(self._spectra)

    @property
    def split(self) -> NDArray[np.str_]:
        """(n_stars,) split of each star."""
        return np.array(self.stars.column("split").to_pylist(), dtype=np.str_)

    def lightcurve(self, row: int) -> LightCurve:
        """One light curve; its arrays are read-only views of the file."""
        return lightcurve_of(self._lightcurves.row(row))

    def spectrum(self, row: int) -> Spectrum:
        """One spectrum; its arrays are read-only views of the file."""
        return spectrum_of(self._spectra.row(row))

    def lightcurve_flux(self, row: int) -> NDArray[np.float32]:
        """Flux of one light curve, a view of the file."""
        return self._lightcurves.array("flux", row)

    def spectrum_arrays(self, row: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Flux and inverse variance of one spectrum, views of the file."""
        return self._spectra.array("flux", row), self._spectra.array("ivar", row)

    def spectrum_column(self, name: str) -> NDArray[Any]:
        """A column of all spectra that holds no arrays (``snr_g``, ``z``, ``obsid``, ...)."""
        return self._spectra.column(name)

    def lightcurve_column(self, name: str) -> NDArray[Any]:
        """A column of all light curves that holds no arrays."""
        return self._lightcurves.column(name)

    def labels(self, name: str) -> NDArray[np.float64]:
        """(n_stars,) a numeric label; NaN where missing, all NaN where the survey has no such label.

        ``log_prot`` is made of ``prot``.
        """
        if name == "log_prot":
            with np.errstate(all="ignore"):
                return np.asarray(np.log10(self.labels("prot")))
        if name not in self.stars.column_names:
            return np.full(self.n_stars, np.nan)
        column = self.stars.column(name).cast(pa.float64())
        return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


class SurveyWriter:
    """Writes a survey shard by shard; a shard is on disk whole or not at all.

    Parameters
    ----------
    path
        The survey's folder.
    kind
        ``"mock"`` or ``"real"``.
    shards
        How many shards each folder will have: ``{"lightcurves": n, "spectra": m}``.
    """

    def __init__(self, path: str | Path, *, kind: str, shards: Mapping[str, int]) -> None:
        self.path = Path(path)
        self.kind = kind
        self.shards = dict(shards)

    def shard_path(self, folder: str, index: int) -> Path:
        """Where a shard is or will be."""
        return self.path / folder / shard_name(index, self.shards[folder])

    def write_lightcurves(self, index: int, items: Sequence[LightCurve]) -> str:
        """Write a shard of light curves; returns its hash."""
        return write_shard(self.shard_path("lightcurves", index), lightcurve_batch(items))

    def write_spectra(self, index: int, items: Sequence[Spectrum]) -> str:
        """Write a shard of spectra; returns its hash."""
        return write_shard(self.shard_path("spectra", index), spectrum_batch(items))

    def finish(
        self,
        stars: pa.Table,
        lightcurve_star: Sequence[int] | NDArray[np.int64],
        spectrum_star: Sequence[int] | NDArray[np.int64],
        hashes: Mapping[str, Sequence[str]],
        report: Mapping[str, Any],
    ) -> None:
        """Write the tables and, last of all, ``survey.json``: only then there is a survey.

        Parameters
        ----------
        stars
            A row a star with ``star_id``; ``split`` and the counts are added here.
        lightcurve_star, spectrum_star
            Row of `stars` for each light curve and spectrum, in the order of the shards.
        hashes
            Hashes of the shards, by folder.
        report
            What goes into ``report.json``.
        """
        stars = self._with_counts(stars, np.asarray(lightcurve_star), np.asarray(spectrum_star))
        summary = hashlib.blake2b(digest_size=16)
        for folder, schema in FOLDERS.items():
            for value in hashes[folder]:
                summary.update(value.encode())
            names = [shard_name(index, self.shards[folder]) for index in range(self.shards[folder])]
            (self.path / folder).mkdir(parents=True, exist_ok=True)
            write_folder_description(self.path / folder, schema, names, "".join(hashes[folder]) or "empty")
        with written_whole(self.path / "stars.parquet") as scratch:
            pq.write_table(stars, scratch)
            summary.update(scratch.read_bytes())
        with written_whole(self.path / "rows.npz") as scratch, scratch.open("wb") as stream:
            np.savez(
                stream,
                lightcurves=np.asarray(lightcurve_star, dtype=np.int64),
                spectra=np.asarray(spectrum_star, dtype=np.int64),
            )
        facts = {
            "format": FORMAT,
            "kind": self.kind,
            "identity": summary.hexdigest(),
            "stars": stars.num_rows,
        }
        for name, content in {"report.json": report, "survey.json": facts}.items():
            with written_whole(self.path / name) as scratch:
                scratch.write_text(json.dumps(content, indent=2) + "\n")

    @staticmethod
    def _with_counts(
        stars: pa.Table, lightcurve_star: NDArray[np.int64], spectrum_star: NDArray[np.int64]
    ) -> pa.Table:
        columns = {
            "split": pa.array([split_of(star) for star in stars.column("star_id").to_pylist()]),
            "n_lightcurves": pa.array(np.bincount(lightcurve_star.astype(int), minlength=stars.num_rows)),
            "n_spectra": pa.array(np.bincount(spectrum_star.astype(int), minlength=stars.num_rows)),
        }
        for place, (name, values) in enumerate(columns.items(), start=1):
            stars = stars.add_column(place, name, values)
        return stars
