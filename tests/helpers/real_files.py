"""Real files beside the project, one of each kind, below ``shared/data``."""

from __future__ import annotations

KINDS = {
    "kepler": "kepler/formats/kplr010002792-2009259160929_llc.fits.gz",
    "k2": "kepler/formats/ktwo211117077-c04_llc.fits.gz",
    "short cadence": "kepler/formats/kplr010666592-2009131110544_slc.fits.gz",
    "tess": "kepler/formats/tess2018206045859-s0001-0000000358108509-0120-s_lc.fits.gz",
    "k2sc": "kepler/formats/hlsp_k2sc_k2_llc_211117077-c04_kepler_v2_lc.fits.gz",
    "k2sff": "kepler/formats/hlsp_k2sff_k2_lightcurve_060021426-cet_kepler_v1_llc.fits.gz",
    "k2varcat": "kepler/formats/hlsp_k2varcat_k2_lightcurve_211121743-c04_kepler_v2_llc.fits.gz",
    "cotrended": "kepler/formats/kplr005110407-2009350155506_llc-kepcotrend-simplex.fits.gz",
    "kepseismic": "kepler/kepseismic/008006161.fits.gz",
    "lamost dr1": "lamost/dr1_fits/spec-55862-B6212_sp06-013.fits.gz",
    "lamost dr2": "lamost/formats/spec-56309-GAC088N20V1_sp08-126.fits.gz",
    "lamost dr3": "lamost/formats/spec-55939-GAC_061N46_V3_sp07-078.fits.gz",
    "lamost dr7": "lamost/formats/48013172.fits",
    "lamost dr8": "lamost/dr8_fits/spec-55859-F5902_sp09-205.fits.gz",
    "lamost dr10": "lamost/dr10_fits/spec-59522-GACII052N48B2_sp01-129.fits.gz",
}
