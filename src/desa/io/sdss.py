"""SDSS and BOSS optical spectra, one object a file: ``spec-PLATE-MJD-FIBER.fits``, whole or lite.

Data model: https://data.sdss.org/datamodel/files/BOSS_SPECTRO_REDUX/RUN2D/spectra/PLATE4/spec.html. The table
COADD has a row a pixel: ``flux``, ``loglam`` (log10 of the vacuum wavelength, heliocentric), ``ivar``,
``and_mask``, ``or_mask``; the next table has one row with the pipeline's findings (``CLASS``, ``Z``, ...).
Very bad pixels have ``ivar`` 0; those whose sky is so bright that the flux can't be trusted are bad too (bit
23 of the and-mask, BRIGHTSKY, https://www.sdss3.org/dr10/algorithms/bitmask_sppixmask.php).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from desa.errors import DamagedFile
from desa.io.fits import OpenFile, integer, number, text
from desa.io.registry import Choices, Front, Glance, Reader, reader
from desa.io.spectra import is_star, redshift, usable_pixels
from desa.types import Spectrum

COLUMNS = frozenset({"FLUX", "LOGLAM", "IVAR", "AND_MASK", "OR_MASK"})
STEP = 1e-4
BRIGHT_SKY = 1 << 23


@reader
class SdssSpectrum(Reader[OpenFile]):
    """Spectra of the SDSS and BOSS spectrographs, resolution about 2000."""

    kind = "spectrum"
    one = "an SDSS spectrum"
    product = "SDSS and BOSS spectra"

    def claims(self, file: Front) -> bool:
        """Whether the columns of COADD are there."""
        return file.columns >= COLUMNS

    def glance(self, file: Front, member: str) -> Glance:
        """What the primary header says."""
        header = file.header
        place = number(header, "PLUG_RA"), number(header, "PLUG_DEC")
        return Glance(self.kind, f"SDSS {_name(header)}", _name(header), *place)

    def read(self, file: OpenFile, member: str, choices: Choices) -> Spectrum:
        """As observed; the redshift is the pipeline's."""
        table = file.first_table()
        for part in range(min(3, len(file.hdus))):
            file.check(part)
        flux, ivar = (table.column(name, "f4") for name in ("FLUX", "IVAR"))
        masked = (table.column("AND_MASK", "i4") & BRIGHT_SKY) != 0
        if not len(flux):
            raise DamagedFile(file.path, "there is no pixel")
        flux, ivar = usable_pixels(file.path, flux, ivar, masked)
        starts = table.column("LOGLAM", "f8") - STEP * np.arange(len(flux))
        start = float(np.median(starts))
        if not np.abs(starts - start).max() < 0.5 * STEP:
            raise DamagedFile(file.path, "wavelengths are not on a grid of 1e-4 dex")
        found, header = _findings(file), file.header
        object_class = str(found.get("CLASS", "")).strip().upper()
        glance = self.glance(file, member)
        return Spectrum(
            flux=flux,
            ivar=ivar,
            log_wavelength_start=round(start, 7),
            log_wavelength_step=STEP,
            z=redshift(float(found.get("Z", np.nan)), object_class),
            star_id=glance.name,
            obsid=glance.obsid,
            release=text(header, "RUN2D"),
            object_class=object_class,
            object_subclass=str(found.get("SUBCLASS", "")).strip(),
            snr=dict(zip("ugriz", np.ravel(found.get("SN_MEDIAN", [])).astype(float).tolist(), strict=False)),
            or_mask=table.column("OR_MASK", "i4"),
            ra=glance.ra,
            dec=glance.dec,
            sources=(str(file.path),),
            meta={"survey": "SDSS", "is_star": is_star(object_class)},
        )


def _name(header: Any) -> str:
    """``PLATE-MJD-FIBER``, as in the file's name."""
    plate, mjd, fiber = (integer(header, key) for key in ("PLATEID", "MJD", "FIBERID"))
    return f"{plate:04d}-{mjd:05d}-{fiber:04d}"


def _findings(file: OpenFile) -> dict[str, Any]:
    """The pipeline's row of the object, by upper-case name; empty where there is no such table."""
    table = file.table(2)
    if table is None or len(table) != 1:
        return {}
    wanted = ("CLASS", "SUBCLASS", "Z", "SN_MEDIAN")
    return {name: table.hdu.data[name][0] for name in wanted if name in table.names}
