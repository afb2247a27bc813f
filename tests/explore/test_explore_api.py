from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table
from fastapi.testclient import TestClient
from typer.testing import CliRunner

import desa.cli
from desa.errors import SettingsError
from desa.explore import links, serve, star_api
from desa.explore.app import create_app
from desa.explore.columns import NAMES
from desa.explore.export import selection_bytes
from desa.explore.guard import HEADERS, MOST_URL
from desa.explore.links import links_of
from desa.explore.maps import map_of
from desa.explore.serve import bound_socket
from desa.explore.table import ExploreTable
from desa.explore.timeseries import periodogram
from helpers.sky import (
    LIGHTCURVE_ONLY,
    PORT,
    STARS,
    kic,
    lightcurve,
    make_embedding,
    obsid,
    spectrum,
    with_columns,
)


def floats(client: TestClient, path: str) -> np.ndarray:
    answer = client.get(path)
    assert answer.status_code == 200
    return np.frombuffer(answer.content, "<f4")


def test_the_page_says_what_data_model_and_map_are(client: TestClient) -> None:
    about = client.get("/api/about").json()
    assert (about["kind"], about["model"], about["rows"]) == ("mock", "abc123def4567890", STARS)
    assert about["map"]["method"] == "pca"
    assert "% of the variance" in about["map"]["said"]
    keys = {column["key"] for column in about["columns"]}
    assert {"map_x", "bp_rp", "teff", "teff_predicted", "teff_low68", "cmd_class", "snr_g"} <= keys


def test_columns_come_as_float32(client: TestClient) -> None:
    bp_rp = floats(client, "/api/column/bp_rp")
    assert len(bp_rp) == STARS
    assert np.isnan(bp_rp[5])
    assert bp_rp[10] == np.float32(0.65)


def test_a_star_with_all_that_is_known(client: TestClient) -> None:
    star = client.get("/api/star/10").json()
    assert (star["star_id"], star["obsid"]) == (kic(10), obsid(10))
    assert star["lightcurve"]["quarters"] == [1, 2, 5]
    assert len(floats(client, "/api/star/10/lightcurve")) == star["lightcurve"]["samples"] == 1500
    assert floats(client, "/api/star/10/acf")[0] == pytest.approx(1, abs=1e-5)
    flux = floats(client, "/api/star/10/spectrum")
    assert np.isnan(flux[100:110]).all()
    # H alpha lies at its rest wavelength once the star's own redshift is taken off.
    start, step, z = (star["spectrum"][key] for key in ("log_start", "log_step", "z"))
    observed = 10 ** (start + step * np.nanargmin(flux))
    assert observed == pytest.approx(6564.61, abs=1)
    assert z == pytest.approx(1e-4)
    found = client.get("/api/star/10/neighbours?k=2").json()
    assert {item["star_id"] for item in found["neighbours"]} == {kic(9), kic(11)}


def test_what_is_missing_is_not_found(client: TestClient) -> None:
    assert client.get(f"/api/star/{LIGHTCURVE_ONLY}/spectrum").status_code == 404
    assert client.get(f"/api/star/{STARS}").status_code == 404
    assert client.get(f"/api/names?rows=0,{STARS}").status_code == 404
    assert client.get("/api/column/no_such_column").status_code == 404
    assert client.get("/api/search", params={"q": "none like it"}).json() == {"place": None, "rows": []}


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/%2e%2e/cli/__init__.py",
        "/static/..%5capp.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/main.js%00.html",
        "/api/column/..%2f..%2fsurvey.json",
        "/api/star/..%2f..%2fetc%2fpasswd",
        "/api/star/-1",
        "/api/star/1e3",
        "/api/star/99999999999999999999",
        "/api/names?rows=../1",
        "/api/star/1/neighbours?k=100000",
        "/docs",
        "/openapi.json",
    ],
)
def test_path_tricks_get_nothing(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (404, 422)
    assert b"root:" not in answer.content
    assert b"import" not in answer.content


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": f"evil.example:{PORT}"}, 421),
        ({"host": "127.0.0.1:80"}, 421),
        ({"host": f"localhost:{PORT}"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": f"http://127.0.0.1:{PORT}"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"content-length": "x"}, 400),
    ],
)
def test_only_this_machines_own_page_is_answered(
    client: TestClient, headers: dict[str, str], status: int
) -> None:
    assert client.get("/api/about", headers=headers).status_code == status


def test_a_link_elsewhere_opens_the_page_but_nothing_else(client: TestClient) -> None:
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    assert client.get("/", headers=link).status_code == 200
    assert client.get("/", headers=link | {"sec-fetch-dest": "iframe"}).status_code == 403
    assert client.get("/api/star/1", headers=link).status_code == 403
    assert client.post("/api/export", headers=link).status_code == 403


def test_every_answer_has_the_security_headers(client: TestClient) -> None:
    for answer in (client.get("/"), client.get("/nothing"), client.get("/", headers={"host": "x"})):
        for name, value in HEADERS:
            assert answer.headers[name.decode()] == value.decode()
    policy = client.get("/").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    page = client.get("/").text
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    assert "style=" not in page


def test_large_requests_are_refused(client: TestClient) -> None:
    def endless():
        for _ in range(40):
            yield b"\0" * 4096

    assert client.post("/api/export", content=b"\0" * 100_000).status_code == 413
    assert client.post("/api/export", content=endless()).status_code == 413
    assert client.get("/api/search", params={"q": "1" * MOST_URL}).status_code == 414
    assert client.get("/api/search", params={"q": "1" * 65}).status_code == 422
    assert client.get("/api/names", params={"rows": ",".join(["1"] * 1500)}).status_code == 422
    assert client.put("/api/export", content=b"").status_code == 405


def rows_bytes(*rows: int) -> bytes:
    return np.array(rows, "<u4").tobytes()


def test_export_as_csv_holds_the_rows_and_says_what_they_are(client: TestClient) -> None:
    answer = client.post("/api/export?format=csv&columns=bp_rp,cmd_class", content=rows_bytes(9, 5, 9))
    assert 'filename="desa-selection-mock-2.csv"' in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert list(rows[0]) == ["star_id", "obsid", "modality", "data", "bp_rp", "cmd_class"]
    assert [row["star_id"] for row in rows] == [kic(5), kic(9)]
    assert [row["bp_rp"] for row in rows] == ["", "0.625"]
    assert rows[1]["cmd_class"] == "giant"
    assert {row["data"] for row in rows} == {"mock"}


def test_export_as_ecsv_keeps_units_and_origin(client: TestClient) -> None:
    answer = client.post("/api/export?format=ecsv&columns=teff,bp_rp,log_l,m_g", content=rows_bytes(5, 6))
    table = Table.read(answer.text, format="ascii.ecsv")
    assert str(table["teff"].unit) == "K"
    assert str(table["bp_rp"].unit) == "mag"
    assert table["bp_rp"].mask.tolist() == [True, False]
    assert table.meta["data"] == "mock"
    assert table.meta["desa.model"] == "abc123def4567890"


@pytest.mark.parametrize("format", ["csv", "ecsv"])
def test_every_column_can_be_exported(tmp_path: Path, format: str) -> None:
    units_of_all = {key: np.arange(STARS, dtype=float) for key in NAMES if not key.startswith("map_")}
    path = with_columns(make_embedding(tmp_path / "emb.parquet"), **units_of_all)
    table = ExploreTable(path)
    client = TestClient(
        create_app(table, map_of(table, method="pca"), PORT), base_url=f"http://127.0.0.1:{PORT}"
    )
    keys = [column["key"] for column in client.get("/api/about").json()["columns"]]
    assert {*units_of_all} <= {*keys}
    query = ",".join(keys)
    answer = client.post(f"/api/export?format={format}&columns={query}", content=rows_bytes(*range(STARS)))
    assert answer.status_code == 200
    found = Table.read(answer.text, format=f"ascii.{format}")
    assert set(found.colnames) == {*keys, "star_id", "obsid", "modality", "data"}
    if format == "ecsv":
        assert str(found["sph"].unit) == "ppm"
        assert str(found["numax"].unit) == "uHz"


def test_a_spreadsheet_runs_nothing_of_an_export(tmp_path: Path) -> None:
    names = {0: '=HYPERLINK("http://x")', 1: "@SUM(1)", 2: "\t=1", 3: "a\r=1", 4: "-2", 5: "+3"}
    made = pq.read_table(make_embedding(tmp_path / "emb.parquet"))
    stars = [names.get(row, name) for row, name in enumerate(made.column("star_id").to_pylist())]
    made = made.set_column(0, "star_id", pa.array(stars))
    pq.write_table(made, tmp_path / "emb.parquet")
    words = ["=cmd" if row % 2 else "word" for row in range(STARS)]
    path = with_columns(tmp_path / "emb.parquet", **{"=1+1": np.ones(STARS), "sort": words})
    table = ExploreTable(path)
    content = selection_bytes(table, np.arange(STARS), ["=1+1", "sort"], "csv").decode()
    assert "\r" not in content
    rows = list(csv.reader(io.StringIO(content)))
    assert len(rows) == STARS + 1
    assert not [cell for row in rows for cell in row if cell.strip()[:1] in set("=+-@")]


@pytest.mark.parametrize(
    ("query", "body", "status"),
    [
        ("columns=../etc", rows_bytes(1), 404),
        ("format=pickle", rows_bytes(1), 422),
        ("", rows_bytes(STARS), 404),
        ("", b"abc", 422),
        ("", b"", 422),
    ],
)
def test_exports_that_make_no_sense(client: TestClient, query: str, body: bytes, status: int) -> None:
    assert client.post(f"/api/export?{query}", content=body).status_code == status


def test_a_taken_port_is_said() -> None:
    with bound_socket(0) as taken:
        assert taken.getsockname()[0] == "127.0.0.1"
        taken.listen()
        with pytest.raises(SettingsError, match="take another with --port"):
            bound_socket(taken.getsockname()[1])


def test_the_command_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = str(tmp_path / "no.parquet")
    monkeypatch.setattr("sys.argv", ["desa", "explore", missing, "--port", "0", "--no-browser"])
    with pytest.raises(SystemExit) as stopped:
        desa.cli.main()
    assert stopped.value.code == 2
    assert "no.parquet: no such file; desa embed makes it" in capsys.readouterr().err
    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"pip install 'desa\[explore\]'"):
        serve.check_installed()
    shown = CliRunner().invoke(desa.cli.app, ["explore", "--help"])
    assert "desa explore emb.parquet --survey survey" in shown.output


def test_links_out_by_name_and_by_place(real_table: ExploreTable) -> None:
    found = {link["label"]: link["url"] for link in links_of(real_table, 0)}
    assert found["SIMBAD"] == "https://simbad.cds.unistra.fr/simbad/sim-id?Ident=KIC+1010"
    assert found["MAST"].endswith("/Portal.html?searchQuery=KIC+1010")
    assert found["Gaia"].endswith("VizieR-S?Gaia%20DR3%202305843009213693953")  # beyond what a float64 holds
    assert found["LAMOST"] == "https://www.lamost.org/dr10/v2.0/spectrum/view?obsid=70100"
    assert "Coord=290.200000+%2B45.000000" in found["SIMBAD, sky"]
    assert "-c=290.200000+%2B45.000000" in found["Gaia, sky"]
    assert {link["label"] for link in links_of(real_table, 1)} == {"SIMBAD, sky", "MAST, sky", "Gaia, sky"}
    assert links_of(real_table, 2) == []


def test_mock_stars_have_no_links(client: TestClient) -> None:
    star = client.get("/api/star/10").json()
    assert star["links"] == []
    assert (star["ra"], star["dec"]) == (290.2, 45)


def test_a_stars_light_curve_and_spectrum_as_files(client: TestClient) -> None:
    curve = client.get("/api/star/10/download/lightcurve")
    assert 'filename="KIC_1010_lightcurve.ecsv"' in curve.headers["content-disposition"]
    found = Table.read(curve.text, format="ascii.ecsv")
    expected = lightcurve(10)
    np.testing.assert_allclose(found["time"], expected.time[expected.valid], atol=1e-9)
    np.testing.assert_allclose(found["flux"], expected.flux[expected.valid], rtol=1e-6)
    assert str(found["time"].unit) == "d"
    assert (found.meta["data"], found.meta["star"]) == ("mock", "KIC 1010")
    found = Table.read(client.get("/api/star/10/download/spectrum").text, format="ascii.ecsv")
    np.testing.assert_allclose(found["wavelength"], spectrum(10).wavelength, rtol=1e-9)
    assert (found["ivar"][100:110] == 0).all()
    assert client.get(f"/api/star/{LIGHTCURVE_ONLY}/download/spectrum").status_code == 404
    assert client.get("/api/star/10/download/..%2f..%2fsurvey.json").status_code in (404, 422)


def test_a_name_of_no_letters_makes_a_file_name(real_table: ExploreTable) -> None:
    app = create_app(real_table, map_of(real_table, method="pca"), PORT)
    answer = TestClient(app, base_url=f"http://127.0.0.1:{PORT}").get("/api/star/1/download/spectrum")
    assert answer.headers["content-disposition"] == 'attachment; filename="HYPERLINK_x_spectrum.ecsv"'


def test_light_curves_are_detrended_as_asked(client: TestClient) -> None:
    raw = floats(client, "/api/star/10/lightcurve")
    level = floats(client, "/api/star/10/lightcurve?detrend=median&window=1")
    assert np.nanstd(level) < 0.3 * np.nanstd(raw)
    assert len(floats(client, "/api/star/10/acf?detrend=quarters")) > 100
    star = client.get("/api/star/10").json()["lightcurve"]
    power = floats(client, "/api/star/10/periodogram")
    assert len(power) == star["frequencies"]["count"]
    best = star["frequencies"]["start"] + star["frequencies"]["step"] * np.argmax(power)
    assert 1 / best == pytest.approx(5, rel=0.03)
    for query in ("detrend=x", "detrend=median&window=0", "detrend=median&window=nan"):
        assert client.get(f"/api/star/10/acf?{query}").status_code == 422
    for kind in ("lightcurve", "acf", "periodogram"):
        assert client.get(f"/api/star/4/{kind}").status_code == 404


def test_maps_by_choice(client: TestClient) -> None:
    made = client.get("/api/map/features_spectrum", params={"modality": "joint"}).json()
    assert (made["vector"], made["modality"], made["rows"]) == ("features_spectrum", "joint", STARS - 1)
    x = floats(client, f"/api/column/{made['columns'][0]['key']}")
    assert np.isfinite(x).sum() == STARS - 1
    again = client.get("/api/map/joint").json()
    assert [column["key"] for column in again["columns"]] == ["map_x", "map_y"]
    assert client.get("/api/map/no_such").status_code == 404
    assert client.get("/api/map/joint?modality=spectrum").status_code == 404
    assert client.get("/api/map/joint?modality=../x").status_code == 422


def test_rows_by_name(client: TestClient) -> None:
    assert client.get("/api/row", params={"star": kic(12), "obsid": obsid(12)}).json()["row"] == 12
    assert client.get("/api/row", params={"star": "KIC 9"}).status_code == 404
    place = client.get("/api/search", params={"q": "290.24 45"}).json()
    assert place["place"] == {"ra": 290.24, "dec": 45}
    assert place["rows"][0] == {"row": 12, "star_id": kic(12), "obsid": obsid(12), "arcsec": 0}
    order = floats(client, "/api/column/star_id")
    assert order.tolist() == list(range(STARS))


def test_a_periodogram_is_computed_once(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []

    def counted(*given: object) -> object:
        computed.append(given)
        return periodogram(*given)

    monkeypatch.setattr(star_api, "periodogram", counted)
    first = floats(client, "/api/star/11/periodogram?detrend=quarters")
    again = floats(client, "/api/star/11/periodogram?detrend=quarters")
    np.testing.assert_array_equal(first, again)
    assert len(computed) == 1
    floats(client, "/api/star/11/periodogram")
    assert len(computed) == 2


def test_links_of_old_releases_lead_to_their_own_hosts() -> None:
    for release, address in (
        ("DR5", "http://dr5.lamost.org/spectrum/view"),
        ("DR7", "http://dr7.lamost.org/spectrum/view"),
        ("DR7 v1.3", "http://dr7.lamost.org/v1.3/spectrum/view"),
        ("DR9 v1.0", "https://www.lamost.org/dr9/v1.0/spectrum/view"),
        ("DR11", "https://www.lamost.org/dr11/v2.0/spectrum/view"),
    ):
        (link,) = links._lamost("12", release)
        assert link["url"] == f"{address}?obsid=12"
