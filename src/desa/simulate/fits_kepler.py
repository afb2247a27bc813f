"""Mock light curves as files in the layout of Kepler's long-cadence archive, one a quarter."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from desa.files import written_whole
from desa.simulate.calendar import load_calendar
from desa.simulate.lightcurves import Observation
from desa.simulate.population import StarParameters
from desa.types import KEPLER_CADENCE_DAYS

_Card = tuple[str, Any, str]

STAMPS: Final = (
    *("2009131105131", "2009166043257", "2009259160929", "2009350155506", "2010078095331", "2010174085026"),
    *("2010265121752", "2010355172524", "2011073133259", "2011177032512", "2011271113734", "2012004120508"),
    *("2012088054726", "2012179063303", "2012277125453", "2013011073258", "2013098041711", "2013131215648"),
)
"""In Kepler's file names: when each quarter's data came down."""

COLUMNS: Final = (
    ("TIME", "D", "BJD - 2454833", "D14.7"),
    ("TIMECORR", "E", "d", "E13.6"),
    ("CADENCENO", "J", None, "I10"),
    ("SAP_FLUX", "E", "e-/s", "E14.7"),
    ("SAP_FLUX_ERR", "E", "e-/s", "E14.7"),
    ("SAP_BKG", "E", "e-/s", "E14.7"),
    ("SAP_BKG_ERR", "E", "e-/s", "E14.7"),
    ("PDCSAP_FLUX", "E", "e-/s", "E14.7"),
    ("PDCSAP_FLUX_ERR", "E", "e-/s", "E14.7"),
    ("SAP_QUALITY", "J", None, "B16.16"),
    ("PSF_CENTR1", "D", "pixel", "F10.5"),
    ("PSF_CENTR1_ERR", "E", "pixel", "E14.7"),
    ("PSF_CENTR2", "D", "pixel", "F10.5"),
    ("PSF_CENTR2_ERR", "E", "pixel", "E14.7"),
    ("MOM_CENTR1", "D", "pixel", "F10.5"),
    ("MOM_CENTR1_ERR", "E", "pixel", "E14.7"),
    ("MOM_CENTR2", "D", "pixel", "F10.5"),
    ("MOM_CENTR2_ERR", "E", "pixel", "E14.7"),
    ("POS_CORR1", "E", "pixels", "E14.7"),
    ("POS_CORR2", "E", "pixels", "E14.7"),
)
"""Name, format, unit and display of the table's columns."""

APERTURE: Final = (
    *((0, 1, 1, 1, 1, 0), (1, 1, 3, 3, 1, 1), (1, 3, 3, 3, 3, 1)),
    *((1, 3, 3, 3, 3, 1), (1, 1, 3, 3, 1, 1), (0, 1, 1, 1, 1, 0)),
)
"""Pixels read (1) and summed (2)."""

FLUX_IN_APERTURE: Final = 0.9
DRIFT_OF_QUARTER: Final = 0.004
"""SAP fluxes slope by about this much a quarter, as the spacecraft's velocity aberration moves the image."""


def file_name(kic: int, quarter: int) -> str:
    """Kepler's name of a star's file of a quarter."""
    return f"kplr{kic:09d}-{STAMPS[quarter]}_llc.fits"


def _primary_cards(star: StarParameters, quarter: int, season: int) -> Iterator[_Card]:
    yield "NEXTEND", 2, "number of standard extensions"
    yield "EXTNAME", "PRIMARY", "name of extension"
    yield "EXTVER", 1, "extension version number"
    yield "ORIGIN", "desa mock survey", "who made this file"
    # lightkurve knows the layout by this name.
    yield "CREATOR", "desa simulate, as FluxExporter2PipelineModule", ""
    yield "MOCK", True, "simulated, not observed"
    yield "TELESCOP", "Kepler", "telescope"
    yield "INSTRUME", "Kepler Photometer", "detector type"
    yield "OBJECT", star.star_id, "string version of target id"
    yield "KEPLERID", star.kic, "unique Kepler target identifier"
    yield "QUARTER", quarter, "Observing quarter"
    yield "SEASON", season, "mission season during which data was collected"
    yield "DATA_REL", 25, "data release version number"
    yield "OBSMODE", "long cadence", "observing mode"
    yield "MISSION", "Kepler", "Mission name"
    yield "RADESYS", "ICRS", "reference frame of celestial coordinates"
    yield "RA_OBJ", round(star.ra, 6), "[deg] right ascension"
    yield "DEC_OBJ", round(star.dec, 6), "[deg] declination"
    yield "EQUINOX", 2000.0, "equinox of celestial coordinate system"
    yield "KEPMAG", round(star.kepmag, 3), "[mag] Kepler magnitude (Kp)"
    # The input catalogue's parameters are photometric: rounded, they are as good as its errors allow.
    yield "TEFF", int(50 * round(star.teff / 50)), "[K] Effective temperature"
    yield "LOGG", round(star.log_g, 1), "[cm/s2] log10 surface gravity"
    yield "FEH", round(star.fe_h, 1), "[log10([Fe/H])]  metallicity"
    yield "RADIUS", round(star.radius, 1), "[solar radii] stellar radius"


def _table_cards(observation: Observation, quarter: int, season: int) -> Iterator[_Card]:
    yield "EXTNAME", "LIGHTCURVE", "name of extension"
    yield "TELESCOP", "Kepler", "telescope"
    yield "TIMEREF", "SOLARSYSTEM", "barycentric correction applied to times"
    yield "TIMESYS", "TDB", "time system is barycentric JD"
    yield "BJDREFI", 2454833, "integer part of BJD reference date"
    yield "BJDREFF", 0.0, "fraction of the day in BJD reference date"
    yield "TIMEUNIT", "d", "time unit for TIME, TSTART and TSTOP"
    yield "TIMEDEL", KEPLER_CADENCE_DAYS, "[d] time resolution of data"
    yield "NUM_FRM", 270, "number of frames per time stamp"
    yield "CROWDSAP", round(float(observation.detector.crowding[season]), 4), "target flux over total flux"
    yield "FLFRCSAP", FLUX_IN_APERTURE, "target flux within the optimal aperture"
    yield "PDCMETHD", "mock", "PDC algorithm used for target"


def _columns(
    star: StarParameters, observation: Observation, quarter: int, season: int
) -> dict[str, NDArray[Any]]:
    """The table's columns."""
    calendar = load_calendar()
    span = calendar.span(quarter)
    start = observation.first_cadence - calendar.first
    here = slice(span.start - start, span.stop - start)
    n = span.stop - span.start
    detector = observation.detector
    time = np.where(calendar.no_time[span], np.nan, calendar.time(span))
    x = np.linspace(-1.0, 1.0, n)
    slope = DRIFT_OF_QUARTER * (1.0 if (star.index + season) % 2 else -1.0)
    raw = observation.raw[here] * (1.0 + slope * x + 0.3 * slope * x**2)
    crowding = float(detector.crowding[season])
    sap = detector.rate * FLUX_IN_APERTURE * (raw + (1.0 - crowding) / crowding)
    error = 1e-6 * detector.stated * detector.rate
    pdc = detector.rate * observation.flux[here]
    lost_time, lost = np.isnan(time), np.isnan(pdc)
    blank = np.full(n, np.nan)
    values: dict[str, NDArray[Any]] = {
        "TIME": time,
        "TIMECORR": np.where(lost_time, 0.0, 1e-3 * np.cos(2 * np.pi * time / 372.5)),
        "CADENCENO": calendar.first + np.arange(span.start, span.stop),
        "SAP_FLUX": np.where(lost_time, np.nan, sap),
        "SAP_FLUX_ERR": np.where(lost_time, np.nan, FLUX_IN_APERTURE * error),
        "SAP_BKG": np.where(lost_time, np.nan, 3000.0),
        "SAP_BKG_ERR": np.where(lost_time, np.nan, 0.7),
        "PDCSAP_FLUX": pdc,
        "PDCSAP_FLUX_ERR": np.where(lost, np.nan, error),
        "SAP_QUALITY": observation.quality[here],
        "MOM_CENTR1": np.where(lost_time, np.nan, 430.0 + 0.02 * x),
        "MOM_CENTR2": np.where(lost_time, np.nan, 650.0 - 0.015 * x),
        "POS_CORR1": np.where(lost_time, np.nan, 0.02 * x),
        "POS_CORR2": np.where(lost_time, np.nan, -0.015 * x),
    }
    for name in ("MOM_CENTR1_ERR", "MOM_CENTR2_ERR"):
        values[name] = np.where(lost_time, np.nan, 2e-4)
    return {name: values.get(name, blank) for name, *_ in COLUMNS}


def write_kepler_quarter(
    star: StarParameters, observation: Observation, quarter: int, path: str | Path
) -> Path:
    """Write one quarter of a light curve as Kepler's archive would.

    Parameters
    ----------
    star, observation
        From `draw_star` and `desa.simulate.lightcurves.observe`.
    quarter
        One of those that the observation has.
    path
        The file; appears whole or not at all.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    ValueError
        For a quarter that the star was not observed in.
    """
    if not (observation.quarter == quarter).any():
        raise ValueError(f"{star.star_id} was not observed in quarter {quarter}")
    # The archive counts seasons from the summer of quarter 2.
    season = (quarter + observation.season) % 4
    target = Path(path)
    values = _columns(star, observation, quarter, season)
    columns = [
        fits.Column(name, form, unit=unit, disp=display, array=values[name])
        for name, form, unit, display in COLUMNS
    ]
    primary = fits.PrimaryHDU()
    for card in _primary_cards(star, quarter, (quarter + 2) % 4):
        primary.header[card[0]] = card[1:]
    table = fits.BinTableHDU.from_columns(columns)
    for card in _table_cards(observation, quarter, season):
        table.header[card[0]] = card[1:]
    aperture = fits.ImageHDU(np.array(APERTURE, dtype=np.int32), name="APERTURE")
    hdus = fits.HDUList([primary, table, aperture])
    for hdu in hdus:
        hdu.add_checksum(when="mock")  # not the time of day: the same star is the same bytes
    with written_whole(target) as scratch:
        content = io.BytesIO()
        hdus.writeto(content)
        scratch.write_bytes(content.getvalue())
    return target
