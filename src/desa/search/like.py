"""What is like a star: the query by a name or a file, and the table of its neighbours."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from astropy.table import Table
from numpy.typing import NDArray

from desa.errors import DamagedFile, ModelError, SettingsError
from desa.files import regular
from desa.parquet import read_parquet
from desa.search import engines
from desa.search.beside import Say, index_of
from desa.search.columns import with_labels, with_survey
from desa.search.data import embeddings_expected, vector_names, vectors_of
from desa.search.index import EXACT_UP_TO
from desa.survey.store import Survey

if TYPE_CHECKING:
    from desa.models.network import Network

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Query:
    """A star to search by.

    Parameters
    ----------
    vectors
        Column -> (D,) of those that it has.
    name
        What it is called.
    row
        Its row in the table, None if it comes from a file.
    """

    vectors: dict[str, Floats]
    name: str
    row: int | None = None


def parts_of(by: str) -> tuple[str, str]:
    """Column of the query and column searched, of ``"joint"`` or ``"match_lightcurve:match_spectrum"``."""
    own, colon, other = by.partition(":")
    return (own, other) if colon else (own, own)


def search_like(
    table: str | Path,
    like: str,
    *,
    k: int = 20,
    where: str | None = None,
    by: str | None = None,
    kind: str = "auto",
    survey: Survey | None = None,
    labels: str | Path | None = None,
    model: Network | None = None,
    say: Say | None = None,
) -> Table:
    """Rows of a table of embeddings that are like a star.

    Parameters
    ----------
    table
        Parquet table made by ``desa embed``.
    like
        A KIC, EPIC, TIC or Gaia number, a star's name, an obsid; or a file (or a folder of one star's files).
    k
        How many.
    where
        Condition on the columns, see `desa.search.where`.
    by
        The vectors that are compared; ``"match_lightcurve:match_spectrum"``, by cosine, finds spectra that go
        with the star's light curve, neither of them made with sight of the other. None: joint, or else the
        first that the star has.
    kind
        As in `desa.Index.build`.
    survey, labels
        Where more columns come from.
    model
        What embeds a file; must be the table's own.
    say
        Gets sentences for the user.

    Returns
    -------
    astropy.table.Table
        ``rank``, ``row``, ``distance`` and all columns; nearest first.

    Raises
    ------
    DesaError
        Whatever is wrong with table, star, condition or model.
    """
    path = Path(table)
    schema = _schema(path)
    query = _of_file(path, schema, like, model) if Path(like).exists() else _of_name(path, like)
    own, other = parts_of(by or _first(query, schema, like))
    names = vector_names(schema.empty_table())
    for name in (own, other):
        if name not in names:
            raise SettingsError(f"{path}: no vectors {name!r}; there are {', '.join(names)}")
    if own not in query.vectors:
        raise SettingsError(
            f"{query.name} has no vector {own!r}; it can be searched --by {' or '.join(query.vectors)}"
        )
    index = index_of(path, other, metric="euclidean" if own == other else "cosine", kind=kind, say=say)
    if say and len(index) > EXACT_UP_TO and engines.faiss_or_none() is None:
        say("faiss is not installed: every vector was compared; pip install 'desa[search]' makes it quicker")
    if survey is not None:
        index.columns = with_survey(index.columns, survey)
    if labels is not None:
        index.columns = with_labels(index.columns, labels)
    found = index.search(query.vectors[own], k, where, exclude=query.row)
    found.remove_column("query")
    found.meta.update({"like": query.name, "by": f"{own}:{other}" if own != other else own})
    return found


def _schema(path: Path) -> pa.Schema:
    with embeddings_expected(path):
        return pq.read_schema(regular(path))


def _first(query: Query, schema: pa.Schema, like: str) -> str:
    names = [name for name in vector_names(schema.empty_table()) if name in query.vectors]
    if not names:
        raise SettingsError(f"{like}: the table has no vectors of the kinds that this star has")
    whole = [name for name in names if name == "joint" or name.startswith("features_")]
    return (whole or names)[0]


def row_of(star_id: Any, obsid: Any, text: str) -> int:
    """The row of a star's name or number, or of an obsid.

    Parameters
    ----------
    star_id, obsid
        The table's columns.
    text
        ``8462852``, ``KIC 8462852``, ``kic8462852``, ``Gaia DR3 2081900940499099136``, an obsid.

    Raises
    ------
    SettingsError
        If there is none; the nearest name is said.
    """
    wanted = re.sub(r"\s+", "", text).lower()
    names = pc.utf8_lower(pc.replace_substring(star_id.cast(pa.string()), " ", ""))
    spectra = pc.utf8_lower(obsid.cast(pa.string()))
    spellings = [wanted]
    if wanted.isdigit():
        number = str(int(wanted))
        spellings += [f"{prefix}{number}" for prefix in ("kic", "gaiadr3", "gaiadr2", "epic", "tic")]
    for column in (names, spectra):
        for spelling in spellings if wanted else []:
            place = pc.index(column, spelling).as_py()
            if place >= 0:
                return int(place)
    some = [name for name in star_id.slice(0, 20_000).to_pylist() if name]
    near = get_close_matches(text, some, n=1, cutoff=0.0) if some else []
    hint = f"; the nearest name is {near[0]}" if near else ""
    raise SettingsError(f"no star and no spectrum {text!r} in the table, and no such file{hint}")


def _of_name(path: Path, like: str) -> Query:
    table = read_parquet(path)
    blank = pa.chunked_array([pa.array([""] * table.num_rows, pa.string())])
    columns = [table.column(name) if name in table.column_names else blank for name in ("star_id", "obsid")]
    row = row_of(columns[0], columns[1], like)
    return Query(_vectors(table.slice(row, 1)), str(columns[0][row].as_py() or like), row)


def _vectors(one: pa.Table) -> dict[str, Floats]:
    """The vectors of a table of one row."""
    known = [name for name in vector_names(one) if one.column(name)[0].is_valid]
    return {name: vectors_of(one, name)[1][0] for name in known}


def _of_file(path: Path, schema: pa.Schema, like: str, model: Network | None) -> Query:
    from desa.inference.embed import embed_files
    from desa.models.storage import weights_hash

    if model is None:
        raise SettingsError(f"{like} is a file: say by --model which model made {path}")
    made_by = (schema.metadata or {}).get(b"desa.model", b"").decode()
    if weights_hash(model) != made_by:
        raise ModelError(
            f"{path} was made by another model ({made_by[:12] or 'unknown'}) than the one that would embed "
            f"{like}; give --model that one"
        )
    table, left_out = embed_files(model, [like])
    if table.num_rows != 1:
        raise SettingsError(f"{like} holds {table.num_rows} stars; give the files of one")
    if left_out:
        raise DamagedFile(*left_out[0])
    vectors = _vectors(table)
    return Query(vectors, Path(like).name)
