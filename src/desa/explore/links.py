"""Pages of the archives about a star, by its name and by its place; nothing is fetched from them."""

from __future__ import annotations

import re
from urllib.parse import quote, urlencode

import numpy as np

from desa.download.sources import LAMOST_SITE
from desa.explore.table import ExploreTable

KNOWN = re.compile(r"(KIC|EPIC|TIC|Gaia DR3) \d+")
"""Names that the archives know; a table may hold any others."""

ARCSEC = 10
"""Radius of searches by position."""

Link = dict[str, str]


def links_of(table: ExploreTable, row: int) -> list[Link]:
    """Links about a row, each with ``label``, ``what`` (by which it finds the star) and ``url``.

    None for mock stars: real ones bear their names.
    """
    if table.kind == "mock":
        return []
    return [
        *_by_name(table.star_id[row].as_py()),
        *_by_gaia(int(table.gaia[row])),
        *_by_place(float(table.ra[row]), float(table.dec[row])),
        *_lamost(table.obsid[row].as_py(), table.release_of(row)),
    ]


def _link(label: str, what: str, url: str, **query: str) -> Link:
    return {"label": label, "what": what, "url": f"{url}?{urlencode(query)}" if query else url}


def _by_name(name: str) -> list[Link]:
    if not KNOWN.fullmatch(name):
        return []
    return [
        _link("SIMBAD", name, "https://simbad.cds.unistra.fr/simbad/sim-id", Ident=name),
        _link(
            "MAST", name, "https://mast.stsci.edu/portal/Mashup/Clients/Mast/Portal.html", searchQuery=name
        ),
    ]


def _by_gaia(number: int) -> list[Link]:
    if number <= 0:
        return []
    name = f"Gaia DR3 {number}"
    return [_link("Gaia", name, f"https://vizier.cds.unistra.fr/viz-bin/VizieR-S?{quote(name)}")]


def _by_place(ra: float, dec: float) -> list[Link]:
    if not (np.isfinite(ra) and np.isfinite(dec)):
        return []
    place, what = f"{ra:.6f} {dec:+.6f}", f'{ARCSEC}" around {ra:.5f} {dec:+.5f}'
    around = {"Coord": place, "CooFrame": "ICRS", "Radius": str(ARCSEC), "Radius.unit": "arcsec"}
    gaia = {"-source": "I/355/gaiadr3", "-c": place, "-c.rs": str(ARCSEC), "-out.add": "_r"}
    return [
        _link("SIMBAD, sky", what, "https://simbad.cds.unistra.fr/simbad/sim-coo", **around),
        _link(
            "MAST, sky",
            what,
            "https://mast.stsci.edu/portal/Mashup/Clients/Mast/Portal.html",
            searchQuery=place,
        ),
        _link("Gaia, sky", what, "https://vizier.cds.unistra.fr/viz-bin/VizieR-4", **gaia),
    ]


def _lamost(obsid: str, release: str) -> list[Link]:
    found = re.fullmatch(r"dr(\d+)(?:[ _]v(\d+\.\d+))?", release.strip().lower())
    if not obsid.isdigit() or not found:
        return []
    # Releases 1 to 7 have a host each, which leads to the last version; later ones are a folder a version.
    version = f"v{found[2]}/" if found[2] else ""
    host = f"http://dr{found[1]}.lamost.org/{version}"
    if int(found[1]) > 7:
        host = f"{LAMOST_SITE}/dr{found[1]}/{version or 'v2.0/'}"
    return [_link("LAMOST", f"obsid {obsid}", f"{host}spectrum/view", obsid=obsid)]
