"""Public tables of labels: recognised, translated, merged; small ones made here, and real ones."""

from __future__ import annotations

import gzip

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import MaskedColumn, Table
from pydantic import SecretStr
from typer.testing import CliRunner

from desa.catalogs.declared import catalog, declarations, described, parse_priority, recognised, translated
from desa.catalogs.label_names import LABELS
from desa.catalogs.labels import read_labels
from desa.catalogs.merge import merge, origins, read_many
from desa.cli import app
from desa.download import catalogs as catalogs_get
from desa.download.catalogs import ask_cds, get
from desa.download.http import Patience
from desa.errors import ArchiveError, SettingsError
from desa.survey.ingest import ingest
from desa.survey.store import Survey
from helpers import bad_server as bad
from helpers.samples import write_quarter

SANTOS = {
    "KIC": [1001, 1002, 1003],
    "Teff": [5000, 5100, None],
    "E_Teff": [100, 120, None],
    "e_Teff": [-80, -60, None],
    "Prot": [10.0, 20.0, 30.0],
    "E_Prot": [1.0, 2.0, None],
    "Sph": [900.0, 800.0, 700.0],
    "flag1": [0, 0, 1],
    "KCat": [3, 3, 3],
    "_RA": [290.0, 290.1, 290.2],
    "_DE": [45.0, 45.0, 45.0],
}
MCQUILLAN = {
    "KIC": [1001, 1004],
    "Prot": [11.0, 44.0],
    "e_Prot": [0.5, 0.6],
    "Teff": [5555, 4444],
    "Rper": [1.0, 2.0],
    "LPH": [0.5, 0.6],
    "w": [0.3, 0.4],
}
BOUMA = {
    "KIC": [1001, 1002, 1003, 1002],
    "gyro_median": ["3000", "2000", "1000", "2000"],
    "gyro_+1sigma": ["300", "400", "1", "400"],
    "gyro_-1sigma": ["100", "200", "1", "200"],
    "flag_gyro_quality": [0, 1024, 1, 1024],
}


def written(folder, name: str, columns: dict) -> str:
    pq.write_table(pa.table(columns), folder / name)
    return str(folder / name)


def test_declarations_hold_together():
    declared = declarations()
    assert {"mcquillan2014", "santos2019", "santos2021", "berger2020", "godoyrivera2025", "gaia_dr3"} < set(
        declared.catalogs
    )
    for name, entry in declared.catalogs.items():
        assert set(entry.labels) <= set(LABELS) and not (entry.vizier and entry.url)
        places = {place for place in ("vizier", "url") if getattr(entry, place)}
        assert set(entry.verified) == {*places, "columns", "cuts"}
        assert all(name in declared.priority[label] for label in entry.labels)
        assert all(set(cut.labels) <= set(entry.labels) for cut in entry.cuts)
        lines = described(entry)
        assert entry.citation in lines[1]
        assert lines[-1].strip() == "checked" or "not checked" in lines[-1]
    for label, names in declared.priority.items():
        assert all(label in declared.catalogs[name].labels for name in names)
    with pytest.raises(SettingsError, match="is no catalog that desa knows; they are mcquillan2014"):
        catalog("gaia_dr7")


def test_being_in_a_table_is_a_label_and_the_first_column_with_a_value_counts(tmp_path):
    nan = float("nan")
    columns = {"KIC": [1, 2], "Per": [2.5, 3.0], "BJD0": [1.0, 2.0], "Morph": [0.1, 0.9], "Teff": [0, 0]}
    kirk = read_labels(written(tmp_path, "kirk.parquet", columns))
    assert kirk.source == "kirk2016" and kirk.values == {
        "binary": [True, True],
        "binary_kind": ["eclipsing", "eclipsing"],
    }
    stars = {
        "KIC": [1, 2, 3],
        "Prot_santos": [10.0, nan, nan],
        "Prot_mcquillan": [11.0, 22.0, nan],
        "EB_period_kirk": [nan, None, 3.0],
        "numax_yu": [nan, 50.0, nan],
    }
    found = read_labels(written(tmp_path, "stars.parquet", stars))
    assert found.source == "kepler_star_labels" and found.values["prot"] == [10.0, 22.0, None]
    assert found.values["binary_kind"] == [None, None, "eclipsing"]
    assert found.values["binary"] == [None, None, True] and found.values["numax"] == [None, 50.0, None]
    with pytest.raises(SettingsError, match="in no archive"):
        get(catalog("kepler_star_labels"), tmp_path)


def test_errors_of_both_sides_and_units():
    known = recognised(SANTOS)
    assert known is not None and known.name == "santos2021"
    columns, notes = translated(known, SANTOS)
    assert columns["teff"] == [5000, 5100, None] and columns["teff_err"] == [90, 90, None]
    assert columns["prot_err"] == [1, 2, None] and columns["ra"] == SANTOS["_RA"] and not notes
    columns, notes = translated(catalog("bouma2024"), BOUMA)
    assert columns["age"][:2] == [3.0, 2.0] and columns["age"][2] is None
    assert columns["age_err"][:2] == pytest.approx([0.2, 0.3])
    assert "1 of 4 rows left out: gyrochronology does not apply" in notes[0]


def test_one_sided_errors_are_not_taken_twice():
    columns = {name: values for name, values in SANTOS.items() if name != "e_Teff"}
    assert translated(catalog("santos2021"), columns)[0]["teff_err"] == [100, 120, None]


def test_cuts_take_labels_out():
    columns = {"KIC": [1, 2, 3], "Age": [5.0, 6.0, 7.0], "Mass": [1.0, 1.1, 1.2]}
    columns |= {"TAMS": [1.0] * 3, "Rad": [1.0] * 3, "rho": [1.0] * 3}
    columns |= {"f_Age": ["", "*", None], "GOF": [1.0, 1.0, 0.5]}
    found, notes = translated(catalog("berger2020"), columns)
    assert found["age"] == [5.0, None, None] and found["mass"] == [1.0, 1.1, 1.2] and len(notes) == 2
    del columns["GOF"]
    assert "no column GOF, so not left out" in translated(catalog("berger2020"), columns)[1][1]
    apogee = {"APOGEE": ["a", "b"], "GaiaEDR3": [5, 6], "Teff": [4000.0, 4100.0], "AFlag": [1 << 23, 1 << 7]}
    assert translated(catalog("apogee_dr17"), apogee)[0]["teff"] == [None, 4100.0]


def test_names_as_astroquery_gives_them(tmp_path):
    """VizieR's [Fe/H] comes as __Fe_H_."""
    columns = {"KIC": [1], "__Fe_H_": [-0.5], "E__Fe_H_": [0.1], "e__Fe_H_": [-0.3]}
    columns |= {"TAMS": [1.0], "Rad": [1.0], "rho": [1.0], "GOF": [1.0]}
    table = read_labels(written(tmp_path, "b.parquet", columns))
    assert table.source == "berger2020" and table.values["fe_h"] == [-0.5]
    assert table.values["fe_h_err"] == pytest.approx([0.2])


def test_releases_are_told_by_the_file_name(tmp_path):
    columns = {"obsid": [7], "teff": [5000.0], "logg": [4.0], "feh": [0.0], "snrg": [9.0], "planid": ["x"]}
    assert read_labels(written(tmp_path, "dr9_v2.0_LRS_stellar.parquet", columns)).source == "lamost_dr9"
    assert read_labels(written(tmp_path, "dr10_v2.0.parquet", columns)).source == "lamost_dr10"
    plain = read_labels(written(tmp_path, "dr1_mine.parquet", columns))
    assert plain.source == "dr1_mine.parquet" and plain.values["teff"] == [5000.0]


@pytest.fixture
def tables(tmp_path):
    mine = {"kic": [1001, 1005], "prot": [99.0, None], "ruwe": [1.1, None]}
    return [
        written(tmp_path, name, columns)
        for name, columns in (
            ("mcquillan.parquet", MCQUILLAN),
            ("santos.parquet", SANTOS),
            ("bouma.parquet", BOUMA),
            ("mine.parquet", mine),
        )
    ]


def test_merge_takes_the_best_and_says_which(tables):
    merged, notes = merge(tables)
    rows = {row["kic"]: row for row in merged.to_pylist()}
    assert list(rows) == [1001, 1002, 1003, 1004, 1005] and any("bouma2024" in note for note in notes)
    assert (rows[1001]["prot"], rows[1001]["prot_from"]) == (99.0, "mine.parquet")
    assert rows[1001]["prot_err"] is None  # not another table's
    assert (rows[1002]["prot"], rows[1002]["prot_from"], rows[1002]["prot_err"]) == (20.0, "santos2021", 2.0)
    assert (rows[1004]["prot"], rows[1004]["prot_from"]) == (44.0, "mcquillan2014")
    assert (rows[1001]["teff"], rows[1001]["teff_from"]) == (5000.0, "santos2021")
    assert rows[1003]["teff"] is None and rows[1003]["teff_from"] is None
    assert (rows[1002]["age"], rows[1003]["age"]) == (2.0, None)
    assert rows[1002]["ra"] == 290.1 and rows[1005]["ruwe"] is None
    assert origins(merged)["prot"] == {"santos2021": 2, "mine.parquet": 1, "mcquillan2014": 1}


def test_another_order(tables):
    order = parse_priority(["prot=mcquillan2014,santos2021"])
    rows = {row["kic"]: row for row in merge(tables, priority=order)[0].to_pylist()}
    assert rows[1001]["prot_from"] == "mcquillan2014" and rows[1002]["prot_from"] == "santos2021"
    for word, sentence in (
        ("prot", "an order is LABEL=TABLE"),
        ("prot=nothing", "nothing is none of the tables given"),
        ("height=mcquillan2014", "'height' is no label"),
    ):
        with pytest.raises(SettingsError, match=sentence):
            merge(tables, priority=parse_priority([word]))


def test_stars_are_joined_by_number_then_position(tmp_path):
    kepler = written(tmp_path, "a", {"kic": [1, 2, 3], "gaia": [51, 52, 52], "prot": [1.0, 2.0, 3.0]})
    places = written(tmp_path, "b", {"kic": [1], "ra": [10.0], "dec": [20.0], "teff": [5000.0]})
    gaia = written(tmp_path, "c", {"gaia": [51, 52, 53], "ruwe": [1.1, 1.2, 1.3]})
    sky = written(tmp_path, "d", {"ra": [10.0003, 11.0], "dec": [20.0, 20.0], "log_g": [4.1, 4.2]})
    merged, _ = merge([kepler, places, gaia, sky])
    rows = merged.to_pylist()
    first = next(row for row in rows if row["kic"] == 1)
    assert (first["gaia"], first["ruwe"], first["teff"], first["log_g"]) == (51, 1.1, 5000.0, 4.1)
    assert {row["kic"] for row in rows if row["ruwe"] == 1.2} == {None}  # two KIC stars share it: of neither
    assert len(rows) == 6
    assert len(merge([kepler, places, gaia, sky], match_arcsec=0)[0]) == 7


def test_colours_are_not_mixed(tmp_path):
    godoy = {"KIC": [1], "GaiaDR3": [5], "flag_CMD": ["Dwarf"], "flag_Binary_Union": [True], "BPmRP_0": [0.7]}
    gaia = {"Source": [5, 6], "RUWE": [1.0, 1.1], "BP-RP": [0.9, 1.5], "RA_ICRS": [1.0, 2.0]}
    paths = [written(tmp_path, "g", godoy), written(tmp_path, "d", gaia | {"DE_ICRS": [1.0, 2.0]})]
    rows = merge(paths)[0].to_pylist()
    assert [(row["bp_rp"], row["ruwe"]) for row in rows] == [(0.7, 1.0), (None, 1.1)]
    assert rows[0]["binary"] is True and rows[0]["cmd_class"] == "Dwarf"


def test_several_tables_for_ingest(tmp_path, tables):
    for kic in (1001, 1002):
        write_quarter(tmp_path / f"light/{kic}.fits", kic, 3, ra=290.0 + 0.1 * (kic - 1001))
    ingest(tmp_path / "light", None, tables, tmp_path / "survey")
    stars = Survey.open(tmp_path / "survey").stars.to_pylist()
    found = {star["kic"]: star for star in stars}
    assert found[1001]["prot"] == 99.0 and found[1002]["prot"] == 20.0 and found[1001]["age"] == 3.0
    merged, _ = merge(tables)
    pq.write_table(merged, tmp_path / "merged.parquet")
    ingest(tmp_path / "light", None, tmp_path / "merged.parquet", tmp_path / "again")
    again = {star["kic"]: star for star in Survey.open(tmp_path / "again").stars.to_pylist()}
    for label in ("prot", "teff", "age", "sph"):
        assert found[1002][label] == again[1002][label]
    with pytest.raises(SettingsError, match="no table"):
        read_many([])


def test_get_from_vizier(tmp_path):
    masked = MaskedColumn([5, 6], mask=[False, True])
    answer = Table({"KIC": masked, "Prot": [1.0, np.nan], "Rper": [1, 2], "LPH": [1, 2], "w": [1, 2]})
    asked = []

    def ask(entry, positions):
        asked.append(entry.vizier)
        return answer

    path = get(catalog("mcquillan2014"), tmp_path, ask=ask)
    assert asked == ["J/ApJS/211/24/table1"] and path == tmp_path / "mcquillan2014.parquet"
    table = read_labels(path)
    assert table.source == "mcquillan2014" and table.keys["kic"] == [5, None]
    assert table.values["prot"] == [1.0, None]
    assert get(catalog("mcquillan2014"), tmp_path, ask=ask) == path and len(asked) == 1
    with pytest.raises(ArchiveError, match="has other columns than expected"):
        get(catalog("lu2024"), tmp_path, ask=lambda entry, positions: Table({"x": [1]}))

    def down(entry, positions):
        raise ConnectionError("no route\nto host")

    with pytest.raises(ArchiveError, match=r"lu2024: CDS can't be asked \(no route\)"):
        get(catalog("lu2024"), tmp_path, ask=down)
    with pytest.raises(SettingsError, match="too large to have whole: give --from TABLE"):
        ask_cds(catalog("gaia_dr3"), None)


def test_get_by_address(tmp_path, monkeypatch):
    content = gzip.compress(b"obsid,teff\n1,5000\n" * 99)
    entry = catalog("lamost_dr10")
    patience = Patience(timeout_s=1, attempts=2)
    monkeypatch.setattr("desa.download.pace.FIRST_WAIT_S", 0.01)
    with bad.serving() as site:
        site.files["/catdl"] = content
        here = entry.model_copy(update={"url": f"{site.url}/catdl?name=dr10_v2.0_LRS_stellar.csv.gz"})
        site.wrong["/catdl"] = [bad.cut(0.5)]
        path = get(here, tmp_path, token=SecretStr("T0ken"), patience=patience)
        assert path.name == "dr10_v2.0_LRS_stellar.csv.gz" and path.read_bytes() == content
        assert site.asked[0][0].endswith(".csv.gz&token=T0ken")
        site.wrong["/catdl"] = [bad.lie(len(content) - 9)]
        with pytest.raises(ArchiveError, match="what came is damaged"):
            get(here, tmp_path / "other", patience=patience)
        site.wrong["/catdl"] = [bad.page]
        with pytest.raises(ArchiveError, match=r"a web page came .* get it by hand from"):
            get(here, tmp_path / "third", patience=patience)


def test_commands(tmp_path, tables, monkeypatch):
    runner = CliRunner(env={"COLUMNS": "200"})
    assert "J/AJ/159/280/table2" in runner.invoke(app, ["catalogs"]).output
    assert "choice 1 of 3" in runner.invoke(app, ["catalogs", "show", "bouma2024"]).output
    result = runner.invoke(app, ["catalogs", "merge", *tables, "-o", str(tmp_path / "all.parquet")])
    assert result.exit_code == 0 and "5 stars" in result.output and "mine.parquet 1" in result.output
    assert pq.read_table(tmp_path / "all.parquet").num_rows == 5

    def down(entry, positions):
        raise ConnectionError("no network")

    monkeypatch.setattr(catalogs_get.get, "__kwdefaults__", catalogs_get.get.__kwdefaults__ | {"ask": down})
    result = runner.invoke(app, ["catalogs", "get", "lu2024", "-o", str(tmp_path)])
    assert result.exit_code == 1 and "lu2024: CDS can't be asked (no network)" in result.output


@pytest.mark.real
def test_real_tables_are_recognised_and_merged(shared):
    folder = shared / "data/catalogs"
    names = {
        "mcquillan2014_rotation": "mcquillan2014",
        "santos2019_rotation_KM": "santos2019",
        "santos2021_rotation_FG": "santos2021",
        "bouma2024_koi_gyro_ages": "bouma2024",
        "kirk2016_eclipsing_binaries": "kirk2016",
        "yu2018_red_giants": "yu2018",
        "huber2014_q1q16_input_parameters": "huber2014",
        "reinhold2015_rotation_gyroage": "reinhold2015",
    }
    for file, name in names.items():
        assert recognised(dict.fromkeys(pq.read_schema(folder / f"{file}.parquet").names)).name == name
    unknown = pq.read_schema(folder / "lamost_dr1_stellar_labels.parquet").names
    assert recognised(dict.fromkeys(unknown), "lamost_dr1_stellar_labels") is None
    merged, _ = merge([folder / f"{file}.parquet" for file in list(names)[:2]])
    counts = origins(merged)["prot"]
    assert counts["santos2019"] == 15640 and merged.num_rows == sum(counts.values())
    classes = read_labels(folder / "keplerq9v3_targets.txt")
    known = [
        kind for kind, kic in zip(classes.values["variable_class"], classes.keys["kic"], strict=True) if kic
    ]
    assert classes.source == "audenaert2021" and len(known) == 8480 and len(set(known)) == 8
    stars = read_labels(shared / "data/kepler/star_labels.csv")
    assert stars.source == "kepler_star_labels" and stars.values["binary_kind"].count("eclipsing") > 20
