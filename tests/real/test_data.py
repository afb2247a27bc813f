from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from desa.errors import DamagedFile, UnsupportedFile
from desa.real.data import ivar_from_snr, read_spectra, stars
from helpers.folder import write_lamost


def test_reads_flux_masks_and_labels(tmp_path: Path) -> None:
    write_lamost(tmp_path / "lamost", 12)
    above, inside = read_spectra(tmp_path), read_spectra(tmp_path / "lamost")
    assert len(above) == len(inside) == 12
    assert above.flux.shape == above.ivar.shape == (12, 3909)
    assert (above.ivar[:, 3900:] == 0).all() and (above.flux[above.ivar == 0] == 0).all()
    share = (above.ivar[:, :3900] > 0).mean()
    assert 0.96 < share < 0.99
    noise = np.nanmedian(1 / np.sqrt(np.where(above.ivar > 0, above.ivar, np.nan)), axis=1)
    np.testing.assert_allclose(noise, 1 / above.snr_g, rtol=0.3)


def test_hot_stars_and_missing_labels_are_left_out(tmp_path: Path) -> None:
    write_lamost(tmp_path, 8)
    table = (tmp_path / "dr10_labels.csv").read_text().splitlines()
    rows = [line.split(",") for line in table]
    rows[1][12], rows[2][14] = "9000.0", ""
    (tmp_path / "dr10_labels.csv").write_text("\n".join(",".join(row) for row in rows))
    assert len(read_spectra(tmp_path)) == 6
    assert len(read_spectra(tmp_path, max_teff=np.inf)) == 7


def test_wrong_folders_say_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFile, match=r"dr10_compact\.npz"):
        read_spectra(tmp_path)
    write_lamost(tmp_path, 4)
    table = tmp_path / "dr10_labels.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join(lines[:-1]))
    with pytest.raises(DamagedFile, match="no row"):
        read_spectra(tmp_path)
    table.write_text("\n".join(lines))
    (tmp_path / "dr10_compact.npz").write_bytes((tmp_path / "dr10_compact.npz").read_bytes()[:5000])
    with pytest.raises(DamagedFile, match="can't be read"):
        read_spectra(tmp_path)


def test_absent_bands_take_the_signal_to_noise_of_g() -> None:
    flux, good = np.ones((2, 400), np.float32), np.ones((2, 400), bool)
    known = np.array([[50.0, 50, 50, 50, 50], [-9999.0, 50, -9999, -9999, -9999]])
    first, second = ivar_from_snr(flux, good, known)
    np.testing.assert_allclose(first, second)
    np.testing.assert_allclose(first, 2500.0, rtol=1e-5)


def test_stars_by_position_and_by_identifier() -> None:
    second = 1 / 3600
    ra = [0.0, 359.9999 + 0.5 * second, 10.0, 10.0, 50.0, 80.0, 90.0]
    dec = [0.0, 0.0, 60.0, 60.0 + 4 * second, 0.0, 10.0, 20.0]
    gaia = [0, 0, 0, 0, 77, 77, 0]
    name = stars(ra, dec, gaia)
    assert name[0] == name[1]
    assert name[2] != name[3]
    assert name[4] == name[5]
    assert len(set(name.tolist())) == 5


@pytest.mark.real
def test_the_real_spectra(shared: Path) -> None:
    spectra = read_spectra(shared / "data")
    assert len(spectra) == 1611
    assert len(np.unique(stars(spectra.ra, spectra.dec, spectra.gaia))) == 1597
