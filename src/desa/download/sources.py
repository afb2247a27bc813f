"""What the archives call their files: Kepler's light curves at MAST, LAMOST's spectra by number."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import Field, SecretStr

from desa.catalogs.labels import read_labels
from desa.download.folder import Job, claimed_for_downloads
from desa.download.http import Remote
from desa.download.manifest import FOLDER, Journal, Row, Size, Text
from desa.download.pace import Pace
from desa.errors import ArchiveError, SettingsError
from desa.files import read_bytes
from desa.progress import Report

MAST_DOWNLOAD = "https://mast.stsci.edu/api/v0.1/Download/file?uri="
LAMOST_SITE = "https://www.lamost.org"
LIST_AT_ONCE = 50
LONGEST_TABLE = 4 << 30
TYPICAL_QUARTER = 480_000
TYPICAL_SPECTRUM = 120_000
MAX_BYTES = 64 << 20
"""Neither a quarter (0.5 MB) nor a spectrum (0.15 MB) comes near."""

_QUARTER = re.compile(r"kplr(\d{9})-\d{13}_llc\.fits")
_Name = Annotated[str, Field(pattern=f"^{_QUARTER.pattern}$", max_length=64)]
_RELEASE = re.compile(r"dr(\d{1,2})(?:[_/]v(\d+(?:\.\d+)?))?", re.IGNORECASE)
_VERSIONS = {4: "2", 5: "3", 6: "2", 7: "2.0", 8: "2.0", 9: "2.0", 10: "2.0", 11: "2.0"}


class Listed(Row):
    """What MAST lists of a star.

    Parameters
    ----------
    kic
        The star.
    files
        Name, address in the archive and size of each of its files.
    """

    kic: Size
    files: Annotated[list[tuple[_Name, Text, Size]], Field(max_length=1000)]


class Observations(Protocol):
    """The part of ``astroquery.mast.Observations`` that is used."""

    def query_criteria(self, **criteria: Any) -> Any:
        """Observations that meet criteria, as an astropy table."""

    def get_product_list(self, observations: Any) -> Any:
        """Files of observations, as an astropy table."""


def mast() -> Observations:
    """MAST, through astroquery.

    Raises
    ------
    ArchiveError
        If astroquery is not installed.
    """
    try:
        from astroquery.mast import Observations as service
    except ImportError:
        raise ArchiveError("listing Kepler's files needs astroquery: pip install 'desa[archive]'") from None
    found: Observations = service
    return found


def wanted(given: Sequence[int], table: Path | None, key: str) -> list[int]:
    """Numbers from the command line and from a table's column, each once, in order.

    Parameters
    ----------
    given
        Numbers.
    table
        Any table that `desa.catalogs.labels.read_labels` reads.
    key
        ``"kic"`` or ``"obsid"``.

    Raises
    ------
    SettingsError
        If there are none.
    """
    numbers: list[int] = list(given)
    if table is not None:
        numbers += _column(table, key)
    if not numbers:
        raise SettingsError(f"nothing to fetch: give --{key} or --from TABLE with a column {key}")
    if bad := [number for number in numbers if not 0 < number < 2**63]:
        raise SettingsError(f"{bad[0]} is no {key}")
    return list(dict.fromkeys(numbers))


def _column(table: Path, key: str) -> list[int]:
    """Numbers of a table's column, or of a plain list of numbers, one a line."""
    try:
        lines = read_bytes(table, LONGEST_TABLE).split()
    except OSError as error:
        raise ArchiveError(f"{table}: can't be read ({error.strerror or error})") from None
    if lines and all(line.isdigit() for line in lines):
        return [int(line) for line in lines]
    column = read_labels(table, keys_only=True).keys.get(key, ())
    if not column:
        raise SettingsError(f"{table}: no column named {key}")
    return [int(value) for value in column if value is not None and str(value).isdecimal()]


def kepler_jobs(
    kics: Sequence[int],
    folder: Path,
    service: Observations,
    *,
    rate: float = 2.0,
    progress: Report | None = None,
    url: str = MAST_DOWNLOAD,
) -> tuple[list[Job], list[tuple[str, str]]]:
    """List the long-cadence files of stars; what was listed before is taken from ``.fetch/listed.jsonl``.

    Parameters
    ----------
    kics
        Kepler Input Catalog numbers.
    folder
        Where the files go.
    service
        `mast`, or what a test gives.
    rate
        Questions a second; each is about up to `LIST_AT_ONCE` stars.
    progress
        Called with (done, total) stars.
    url
        Start of a file's address.

    Returns
    -------
    tuple
        Jobs, and (star, reason) for stars without files.

    Raises
    ------
    ArchiveError
        If MAST can't be asked.
    """
    with claimed_for_downloads(folder):
        listed = _listed(kics, folder, service, Pace(rate), progress)
    jobs, without = [], []
    for kic in kics:
        files = listed.rows[str(kic)]["files"]
        if not files:
            without.append((f"KIC {kic}", "MAST lists no long-cadence light curve of it"))
        for name, uri, size in files:
            remote = Remote(url + uri, int(size) or None, max_bytes=MAX_BYTES)
            path = f"{kic:09d}"[:4] + f"/{kic:09d}/{name}"
            jobs.append(Job(name, path, remote, star_id=f"KIC {kic}", typical_size=TYPICAL_QUARTER))
    return jobs, without


def _listed(
    kics: Sequence[int], folder: Path, service: Observations, pace: Pace, progress: Report | None
) -> Journal:
    """What MAST lists for stars; only those without an answer yet are asked for."""
    listed = Journal(folder / FOLDER / "listed.jsonl", "kic", Listed)
    missing = [kic for kic in kics if str(kic) not in listed]
    for start in range(0, len(missing), LIST_AT_ONCE):
        part = missing[start : start + LIST_AT_ONCE]
        if progress:
            progress(len(kics) - len(missing) + start, len(kics))
        for kic, files in _ask(service, part, pace).items():
            listed.add({"kic": kic, "files": files})
    if progress:
        progress(len(kics), len(kics))
    return listed


def _ask(service: Observations, kics: Sequence[int], pace: Pace) -> dict[int, list[tuple[str, str, int]]]:
    """Name, address in the archive and size of each star's long-cadence files."""
    found: dict[int, dict[str, tuple[str, str, int]]] = {kic: {} for kic in kics}
    names = [f"kplr{kic:09d}" for kic in kics]
    last = ""
    for attempt in range(1, 5):
        try:
            pace.wait()
            observations = service.query_criteria(obs_collection="Kepler", target_name=names)
            products = service.get_product_list(observations) if len(observations) else []
            break
        except Exception as error:  # astroquery raises whatever its network libraries do
            last = str(error).strip().split("\n")[0] or type(error).__name__
            pace.sleep(pace.backoff(attempt))
    else:
        raise ArchiveError(f"MAST can't list the files of {names[0]} and {len(names) - 1} more: {last}")
    for row in products:
        name = str(row["productFilename"])
        match = _QUARTER.fullmatch(name)
        if match and int(match[1]) in found:
            found[int(match[1])][name] = (name, str(row["dataURI"]), _size(row))
    return {kic: sorted(files.values()) for kic, files in found.items()}


def _size(row: Any) -> int:
    try:
        return max(int(row["size"]), 0)
    except (KeyError, TypeError, ValueError):
        return 0


def lamost_address(release: str, site: str = LAMOST_SITE) -> str:
    """Address of a release's low-resolution spectra, without the number.

    Parameters
    ----------
    release
        ``"dr10"`` (then its last version known here), or with the version: ``"dr10_v1.0"``.
    site
        The service.

    Raises
    ------
    SettingsError
        For what is no release.
    """
    found = _RELEASE.fullmatch(release.strip())
    if not found or not 1 <= int(found[1]) <= 99:
        raise SettingsError(f"{release!r} is no LAMOST release; say for example dr10 or dr10_v2.0")
    number = int(found[1])
    version = found[2] or _VERSIONS.get(number, "")
    if number <= 3:
        host = f"http://dr{number}.lamost.org" if site == LAMOST_SITE else site
        return f"{host}/spectrum/fits/"
    if not version:
        raise SettingsError(f"{release!r}: say the version too, for example {release}_v1.0")
    host = f"http://dr{number}.lamost.org" if number <= 5 and site == LAMOST_SITE else f"{site}/dr{number}"
    return f"{host}/v{version}/spectrum/fits/"


def lamost_jobs(
    obsids: Iterable[int], release: str, token: SecretStr | None, *, site: str = LAMOST_SITE
) -> list[Job]:
    """Jobs for spectra by observation number.

    Parameters
    ----------
    obsids
        Numbers, as in the release's catalogue.
    release
        As in `lamost_address`.
    token
        The user's; not needed for a release that is public.
    site
        The service.

    Raises
    ------
    SettingsError
        For what is no release.
    """
    address = lamost_address(release, site)
    short = re.split("[_/]", release.strip().lower())[0]
    return [
        Job(
            f"{short} {obsid}",
            f"{short}/{str(obsid)[:4]}/lamost-{short}-{obsid}.fits",
            Remote(f"{address}{obsid}", token=token, max_bytes=MAX_BYTES),
            obsid="" if short == "dr1" else str(obsid),
            typical_size=TYPICAL_SPECTRUM,
        )
        for obsid in obsids
    ]
