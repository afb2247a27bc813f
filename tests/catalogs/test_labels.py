import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, QTable, Table

from desa.catalogs.labels import _identifier, canonical_name, file_stem, read_labels
from desa.catalogs.merge import merge
from desa.errors import DamagedFile, UnsupportedFile


@pytest.mark.parametrize(
    ("column", "name"),
    [
        *[("KIC", "kic"), ("kepid", "kic"), ("KICID", "kic"), ("source_id", "gaia"), ("GaiaDR3", "gaia")],
        *[("Teff", "teff"), ("log(g)", "log_g"), ("LOGG", "log_g"), ("[Fe/H]", "fe_h"), ("feh", "fe_h")],
        *[
            ("PRot", "prot"),
            ("Prot", "prot"),
            ("e_Teff", "teff_err"),
            ("feh_err", "fe_h_err"),
            ("Age", "age"),
        ],
        *[
            ("e_PRot", "prot_err"),
            ("logg_e", "log_g_err"),
            ("Dnu", "dnu"),
            ("BP-RP", "bp_rp"),
            ("RA_ICRS", "ra"),
        ],
        *[("Teff_santos", None), ("snrg", None), ("e_kic", None), ("", None), ("e", None)],
    ],
)
def test_column_names(column, name):
    assert canonical_name(column) == name


CSV = "# a comment\nKIC,Teff,e_Teff,Prot,snr,binary\n757450,5300.5,80,19.1,3,true\n1026957,-9999,,,4,false\n"


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_text_tables(tmp_path, delimiter):
    path = tmp_path / "labels.txt"
    path.write_text(CSV.replace(",", delimiter))
    table = read_labels(path)
    assert table.rows == 2 and table.keys == {"kic": [757450, 1026957]}
    assert table.own == {"snr": [3.0, 4.0]} and not table.ignored
    assert table.values["teff"] == [5300.5, None] and table.values["teff_err"] == [80.0, None]
    assert table.values["prot"] == [19.1, None] and table.values["binary"] == [True, False]
    (tmp_path / "labels.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    assert read_labels(tmp_path / "labels.csv.gz").values == table.values


def test_columns_that_only_comments_name(tmp_path):
    path = tmp_path / "targets.txt"
    comments = "# Targets\n# Column 1: KIC\n# Column 2: variable_class\n#---\n"
    path.write_text(f"{comments}1026895,APERIODIC\nconstant_7,CONSTANT\n")
    table = read_labels(path)
    assert table.keys == {"kic": [1026895, None]}
    assert table.values == {"variable_class": ["APERIODIC", "CONSTANT"]}
    assert [_identifier(name) for name in ("KIC 007", "kplr007", "Gaia DR3 77", "tic7")] == [7, 7, 77, None]


@pytest.mark.parametrize(("form", "name"), [("fits", "a.bin"), ("ascii.ecsv", "b"), ("votable", "c.fits")])
def test_tables_of_astropy(tmp_path, form, name):
    table = QTable(
        {
            "source_id": np.array([4295806720 * 10**8 + 1, 7], dtype=np.int64),
            "age": [4600.0, 100.0] * u.Myr,
            "teff": MaskedColumn([5000.0, 6000.0], mask=[False, True]),
            "binary_kind": ["eclipsing", "none"],
            "ra": [10.0, 11.0] * u.deg,
            "dec": [3600.0, 7200.0] * u.arcsec,
        }
    )
    table.write(tmp_path / name, format=form)
    read = read_labels(tmp_path / name)
    assert read.keys["gaia"] == [429580672000000001, 7]
    assert read.values["age"] == pytest.approx([4.6, 0.1]) and read.values["teff"] == [5000.0, None]
    assert read.values["binary_kind"] == ["eclipsing", "none"]
    assert read.dec == pytest.approx([1.0, 2.0])


def test_parquet_and_obsid(tmp_path):
    pq.write_table(
        pa.table({"obsid": [101.0, None], "logg": [4.4, np.nan], "file": ["a/spec-1.fits.gz", None]}),
        tmp_path / "x",
    )
    table = read_labels(tmp_path / "x")
    assert table.keys == {"obsid": ["101", None], "file": ["spec-1", None]}
    assert table.values == {"log_g": [4.4, None]}


def test_gaia_numbers_that_lost_digits_are_not_used(tmp_path):
    pq.write_table(pa.table({"gaia": [4.29580672e17, 12345.0], "teff": [1.0, 2.0]}), tmp_path / "x")
    assert read_labels(tmp_path / "x").keys["gaia"] == [None, 12345]


def test_what_is_no_table(tmp_path):
    (tmp_path / "a").write_text("name,height\nx,3\n")
    with pytest.raises(UnsupportedFile, match="no column identifies stars"):
        read_labels(tmp_path / "a")
    (tmp_path / "b").write_text("kic,split,empty\n1,3,\n")
    with pytest.raises(UnsupportedFile, match="no column is a label"):
        read_labels(tmp_path / "b")
    for content in (b"", b"PAR1 and nothing", b"SIMPLE  = nothing", b"\x1f\x8b\x08", bytes(range(256)) * 9):
        (tmp_path / "c").write_bytes(content)
        with pytest.raises((DamagedFile, UnsupportedFile)):
            read_labels(tmp_path / "c")
    with pytest.raises(DamagedFile, match="can't be read"):
        read_labels(tmp_path / "absent")


def test_real_tables(shared):
    table = read_labels(shared / "data/lamost/dr10_labels.csv")
    assert table.rows == 1886 and len([v for v in table.values["teff"] if v]) == 1886
    assert sum(kic is not None for kic in table.keys["kic"]) > 5
    santos = read_labels(shared / "data/catalogs/santos2019_rotation_KM.parquet")
    assert {"prot", "sph", "teff", "log_g", "mass"} <= set(santos.values)


def test_file_stem():
    assert file_stem("a/b/spec-1_sp02-3.fits.gz") == "spec-1_sp02-3" == file_stem("spec-1_sp02-3")


def test_table_type_is_not_told_by_name(tmp_path):
    Table({"kic": [1], "teff": [2.0]}).write(tmp_path / "t.fits")
    (tmp_path / "t.fits").rename(tmp_path / "t.csv")
    assert read_labels(tmp_path / "t.csv").values == {"teff": [2.0]}


def test_columns_of_the_users_own_are_labels(tmp_path):
    (tmp_path / "mine.csv").write_text(
        "kic,height,kind,good,teff_from,split\n1,3,RGB,true,dr5,a\n2,-9999,,false,dr5,b\n"
    )
    table = read_labels(tmp_path / "mine.csv")
    assert table.own == {"height": [3.0, None], "kind": ["RGB", None], "good": [True, False]}
    assert table.ignored == ("teff_from", "split") and not table.values
    assert not read_labels(tmp_path / "mine.csv", keys_only=True).own


def test_own_labels_are_kept_when_tables_are_merged(tmp_path):
    (tmp_path / "a.csv").write_text("kic,height,kind\n1,3,1\n2,4,2\n")
    (tmp_path / "b.csv").write_text("kic,teff,kind\n2,5000,x\n")
    merged, _ = merge([tmp_path / "a.csv", tmp_path / "b.csv"])
    assert merged.column("height").to_pylist() == [3.0, 4.0] and merged.column("teff").to_pylist() == [
        None,
        5000.0,
    ]
    assert merged.column("kind").to_pylist() == ["1.0", "2.0"]
