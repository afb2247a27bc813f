"""The page in a real browser: headless Chromium, its WebGL in software."""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from numpy.typing import NDArray
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Playwright, expect, sync_playwright

from desa.explore.table import ExploreTable
from helpers.explore_server import served
from helpers.sky import LIGHTCURVE_ONLY, STARS, kic, make_embedding, obsid, with_columns

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
DRIVER = "GL Driver Message (OpenGL, Performance"
"""What the graphics driver of the machine says about its own speed, now and then; it is not of the page."""

SOFTWARE = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]

Opened = Callable[..., Page]


@pytest.fixture(scope="module")
def address(table: ExploreTable) -> Iterator[str]:
    with served(table) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module", autouse=True)
def there_is_a_browser() -> None:
    """A machine without Chromium skips these tests; one of continuous integration fails them."""
    if CHROMIUM is None and os.environ.get("CI") == "true":
        pytest.fail("no Chromium: apt-get install chromium")
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    started = playwright.chromium.launch(executable_path=CHROMIUM, args=SOFTWARE)
    yield started
    started.close()


@pytest.fixture
def opened(browser: Browser, address: str) -> Iterator[Opened]:
    """Opens the page; at the end there must be no console message and no request to anywhere else."""
    contexts, said, asked = [], [], []

    def open_page(
        width: int = 1280, height: int = 900, scheme: str = "light", path: str = "/", touch: bool = False
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, has_touch=touch
        )
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: None if DRIVER in message.text else said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address + path)
        page.wait_for_selector("body[data-ready]")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith((address, f"blob:{address}"))] == []


def pixels(part: Locator) -> NDArray[np.int16]:
    """(height, width, 3) of what is on screen."""
    part.page.wait_for_timeout(120)
    return np.asarray(Image.open(io.BytesIO(part.screenshot())).convert("RGB"), dtype=np.int16)


def pixels_when(part: Locator, true: Callable[[NDArray[np.int16]], np.bool_ | bool]) -> NDArray[np.int16]:
    """What is on screen once it is as expected; a busy machine paints late."""
    for _ in range(40):
        if true(now := pixels(part)):
            return now
    raise AssertionError("what is on screen never came to be as expected")


def pixels_at_rest(part: Locator) -> NDArray[np.int16]:
    """What is on screen once two looks are alike."""
    before = [pixels(part)]

    def alike(now: NDArray[np.int16]) -> bool:
        same = np.array_equal(now, before.pop())
        before.append(now)
        return same

    return pixels_when(part, alike)


def coloured(image: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Pixels that are no shade of grey."""
    return np.asarray(image.max(axis=2) - image.min(axis=2) > 60)


def search(page: Page, text: str) -> None:
    page.fill("#wanted", text)
    page.press("#wanted", "Enter")


def star_shown(page: Page, star: int) -> None:
    expect(page.locator("#starname")).to_have_text(kic(star))
    page.wait_for_selector(f'#onestar[data-row="{star}"]')


def lasso(page: Page, panel: str, left: float, right: float, *, mode: str = "Shift") -> None:
    """Around all points between two shares of a panel's width."""
    box = page.locator(f"{panel} .points").bounding_box()
    assert box is not None
    across = [box["x"] + share * box["width"] for share in (left, right)]
    along = [box["y"] + 2, box["y"] + box["height"] - 2]
    page.mouse.move(across[0], along[0])
    page.keyboard.down(mode)
    page.mouse.down()
    for x, y in ((across[1], along[0]), (across[1], along[1]), (across[0], along[1])):
        page.mouse.move(x, y, steps=4)
    page.mouse.up()
    page.keyboard.up(mode)


def test_both_panels_draw_the_stars_and_say_what_they_are(opened: Opened) -> None:
    page = opened()
    for panel in ("#left", "#right"):
        found = coloured(pixels(page.locator(f"{panel} .points")))
        assert 500 < found.sum() < 8000  # 60 discs 5 to 6 pixels wide, not an empty or a filled canvas
    expect(page.locator("#kind")).to_have_text("Mock data")
    expect(page.locator("#facts")).to_contain_text("abc123def456")
    expect(page.locator("#facts")).to_contain_text("of the variance")
    expect(page.locator("#right .shown")).to_have_text(f"{STARS - 1} of {STARS} have both")
    assert "M_G [mag] against BP − RP [mag]" in str(page.locator("#right .marks").get_attribute("aria-label"))


def test_magnitudes_grow_downwards(opened: Opened) -> None:
    page = opened()
    found = coloured(pixels(page.locator("#right .points")))
    height, width = found.shape
    # BP - RP and M_G rise together in the tiny survey: bright blue stars at the top left.
    assert found[: height // 3, : width // 3].sum() > 100
    assert found[height * 2 // 3 :, width * 2 // 3 :].sum() > 100
    assert found[: height // 3, width * 2 // 3 :].sum() == 0


def test_colours_follow_the_column(opened: Opened) -> None:
    page = opened()
    before = pixels(page.locator("#left .points"))
    page.select_option("#colour", "m_g")
    expect(page.locator("#colourbar")).to_have_attribute("aria-label", re.compile(r"M_G \[mag\] from 2"))
    other = pixels(page.locator("#left .points"))
    assert (np.abs(other - before).max(axis=2) > 30).sum() > 200
    page.select_option("#colour", "cmd_class")
    expect(page.locator("#words button")).to_have_text(["dwarf", "giant"])
    page.locator("#words button", has_text="giant").click()
    expect(page.locator("#count")).to_have_text(f"{STARS // 3} of {STARS} selected")


def test_a_lasso_on_the_map_dims_the_rest_of_the_cmd_and_is_exported(
    opened: Opened, table: ExploreTable
) -> None:
    page = opened()
    before = coloured(pixels(page.locator("#right .points"))).sum()
    lasso(page, "#left", 0.01, 0.4)
    expect(page.locator("#count")).to_contain_text("selected")
    chosen = int(page.locator("#count").inner_text().split()[0])
    assert 5 < chosen < STARS - 5
    after = coloured(pixels(page.locator("#right .points"))).sum()
    assert 0.3 * chosen / STARS < after / before < 0.95
    page.select_option("#columns", "all")
    with page.expect_download() as download:
        page.click("#csv")
    assert download.value.suggested_filename == f"desa-selection-mock-{chosen}.csv"
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert len(rows) == chosen
    names = {row["star_id"] for row in rows}
    x = dict(zip(table.star_id.to_pylist(), table.values("map_x").tolist(), strict=True))
    inside = [value for name, value in x.items() if name in names]
    outside = [value for name, value in x.items() if name not in names and np.isfinite(value)]
    assert max(inside) < min(outside)
    page.keyboard.press("Escape")
    expect(page.locator("#count")).to_have_text("0 selected")
    with page.expect_download() as download:
        page.locator("#right .choose").click()
        page.click("#ecsv")
    assert download.value.suggested_filename == f"desa-selection-mock-{STARS - 1}.ecsv"


def test_lasso_mode_adds_and_takes_away(opened: Opened) -> None:
    page = opened()
    page.get_by_label("Lasso").check()
    box = page.locator("#right .points").bounding_box()
    assert box is not None
    lasso(page, "#right", 0.01, 0.3, mode="Control")
    first = int(page.locator("#count").inner_text().split()[0])
    lasso(page, "#right", 0.5, 0.99, mode="Control")
    both = int(page.locator("#count").inner_text().split()[0])
    lasso(page, "#right", 0.01, 0.3, mode="Alt")
    rest = int(page.locator("#count").inner_text().split()[0])
    assert 0 < first < both
    assert rest == both - first


@pytest.mark.parametrize("text", ["1012", obsid(12)])
def test_search_opens_the_star(opened: Opened, text: str) -> None:
    page = opened()
    search(page, text)
    star_shown(page, 12)
    for name in ("curve", "periodogram", "acf", "folded", "spectrum"):
        pixels_when(page.locator(f"#{name}"), lambda now: coloured(now).sum() > 150)
    expect(page.locator("#predictions")).to_contain_text("6300 K")
    expect(page.locator("#predictions")).to_contain_text("68 %: 6200 to 6410")
    expect(page.locator("#predictions")).to_contain_text("teff: calibrated on mock survey")
    expect(page.locator("#values")).to_contain_text("6400 ± 80 K")
    expect(page.locator("#neighbours button")).to_have_count(12)
    assert {kic(11), kic(13)} <= set(page.locator("#neighbours strong").all_inner_texts()[:2])
    assert page.url.endswith("#star=KIC+1012&obsid=70120")


def test_search_of_a_part_lists_and_of_nothing_says_so(opened: Opened) -> None:
    page = opened()
    search(page, "KIC 103")
    expect(page.locator("#found button")).to_have_count(10)
    page.press("#wanted", "ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    star_shown(page, 31)
    expect(page.locator("#found")).to_be_hidden()
    search(page, "nobody")
    expect(page.locator("#found")).to_have_text("Nothing is called nobody.")


def test_a_click_opens_the_star_under_the_pointer_and_marks_it_in_both_panels(opened: Opened) -> None:
    page = opened()
    points = page.locator("#left .points")
    box, found = points.bounding_box(), coloured(pixels(points))
    assert box is not None
    rows, columns = np.nonzero(found)
    middle = len(rows) // 2
    plain = [pixels(page.locator(f"{panel} .plot")) for panel in ("#left", "#right")]
    page.mouse.move(box["x"] + int(columns[middle]), box["y"] + int(rows[middle]))
    expect(page.locator("#left .tip")).to_contain_text("KIC ")
    page.mouse.down()
    page.mouse.up()
    name = page.locator("#left .tip").inner_text().split(" · ")[0]
    expect(page.locator("#starname")).to_have_text(name)
    page.mouse.move(5, 5)
    for panel, before in zip(("#left", "#right"), plain, strict=True):
        now = pixels(page.locator(f"{panel} .plot"))
        assert (np.abs(now - before).max(axis=2) > 60).sum() > 40


def test_what_a_star_lacks_is_said(opened: Opened) -> None:
    page = opened(path=f"/#row={LIGHTCURVE_ONLY}")
    star_shown(page, LIGHTCURVE_ONLY)
    expect(page.locator(".spectrum .none")).to_have_text("The survey has no spectrum of this star.")
    expect(page.locator("#curve")).to_be_visible()
    expect(page.locator("#neighbours-said")).to_contain_text("light curve alone")


def test_the_light_curve_zooms_and_comes_back(opened: Opened) -> None:
    page = opened(path="/#row=10")
    star_shown(page, 10)
    curve = page.locator("#curve")
    curve.scroll_into_view_if_needed()
    whole = pixels_at_rest(curve)
    box = curve.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 80)
    expect(page.locator("#curve-said")).to_contain_text("ppt")
    page.mouse.wheel(0, -600)
    page.mouse.move(5, 5)
    pixels_when(curve, lambda now: (np.abs(now - whole).max(axis=2) > 60).sum() > 500)
    near = pixels_at_rest(curve)
    curve.focus()
    page.keyboard.press("ArrowRight")
    pixels_when(curve, lambda now: (now != near).any())
    page.keyboard.press("0")
    page.locator("#close").focus()
    pixels_when(curve, lambda now: np.array_equal(now, whole))


def test_everything_by_keyboard(opened: Opened) -> None:
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the star"
    page.keyboard.press("/")
    expect(page.locator("#wanted")).to_be_focused()
    page.keyboard.type("1020")
    page.keyboard.press("Enter")
    star_shown(page, 20)
    page.keyboard.press("n")
    cards = page.locator("#neighbours button")
    expect(cards.nth(0)).to_be_focused()
    ring = pixels(page.locator("#left .plot"))
    page.keyboard.press("ArrowRight")
    expect(cards.nth(1)).to_be_focused()
    pixels_when(
        page.locator("#left .plot"), lambda now: (now != ring).any()
    )  # the ring has gone to the next neighbour
    assert cards.nth(1).evaluate("card => getComputedStyle(card).outlineStyle") == "solid"
    name = cards.nth(1).locator("strong").inner_text()
    page.keyboard.press("Enter")
    expect(page.locator("#starname")).to_have_text(name)
    page.locator("#back").press("Enter")
    star_shown(page, 20)
    page.keyboard.press("Escape")
    expect(page.locator("#nostar")).to_be_visible()
    page.locator("#right .marks").focus()
    before = pixels(page.locator("#right .points"))
    page.keyboard.press("+")
    page.keyboard.press("ArrowLeft")
    pixels_when(page.locator("#right .points"), lambda now: (now != before).any())
    page.keyboard.press("Enter")
    expect(page.locator("#starname")).to_contain_text("KIC ")


def test_every_control_has_a_name(opened: Opened) -> None:
    page = opened(path="/#row=10")
    star_shown(page, 10)
    nameless = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input, canvas[tabindex], [role=group]")]
            .filter((item) => !(item.getAttribute("aria-label") || item.getAttribute("aria-labelledby") ||
                item.labels?.length || item.textContent.trim()))
            .map((item) => item.outerHTML)"""
    )
    assert nameless == []


def test_light_and_dark(opened: Opened) -> None:
    page = opened(scheme="dark")
    pixels_when(page.locator("#left"), lambda now: now.mean() < 60)
    page.click("#theme")
    pixels_when(page.locator("#left"), lambda now: now.mean() > 200)
    page.click("#theme")
    pixels_when(page.locator("#right"), lambda now: now.mean() < 60)


@pytest.mark.parametrize("width", [1280, 768, 420])
def test_nothing_is_wider_than_the_screen(opened: Opened, width: int) -> None:
    page = opened(width, 1024, path="/#row=10")
    star_shown(page, 10)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for part in ("#left .points", "#right .points", "#curve", "#folded", "#spectrum", "#neighbours"):
        box = page.locator(part).bounding_box()
        assert box is not None
        assert box["width"] > 200
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    words = page.evaluate("parseFloat(getComputedStyle(document.querySelector('dt')).fontSize)")
    assert words >= 12


def test_fingers_open_a_star_and_draw_a_lasso(opened: Opened) -> None:
    page = opened(768, 1024, touch=True)
    points = page.locator("#left .points")
    rows, columns = np.nonzero(coloured(pixels(points)))
    box = points.bounding_box()
    assert box is not None
    page.touchscreen.tap(box["x"] + int(columns[0]), box["y"] + int(rows[0]))
    expect(page.locator("#starname")).to_contain_text("KIC ")
    page.get_by_label("Lasso").check()
    fingers = page.context.new_cdp_session(page)
    corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98)]
    for place, (across, along) in enumerate(corners):
        at = {"x": box["x"] + across * box["width"], "y": box["y"] + along * box["height"]}
        kind = "touchMove" if place else "touchStart"
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [at]})
    fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(page.locator("#count")).to_have_text(f"{STARS - 1} of {STARS} selected")


def test_any_two_columns(opened: Opened) -> None:
    page = opened()
    page.locator("#left .view").select_option("custom")
    page.locator("#left .across").select_option("teff")
    page.locator("#left .along").select_option("teff_predicted")
    expect(page.locator("#left .shown")).to_have_text(f"{STARS // 2} of {STARS} have both")
    page.locator("#right .view").select_option("kiel")
    expect(page.locator("#right .marks")).to_have_attribute(
        "aria-label", re.compile(r"log g \[dex\] against")
    )


def test_a_table_alone_shows_its_own_columns(browser: Browser, tmp_path: Path) -> None:
    path = with_columns(make_embedding(tmp_path / "emb.parquet"), score=np.linspace(1, 100, STARS))
    with served(ExploreTable(path)) as port:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/#row=1")
        star_shown(page, 1)
        expect(page.locator("#right .view option[value=cmd]")).to_have_text("CMD (no bp_rp, m_g)")
        expect(page.locator(".curve .none")).to_have_text("Give --survey to see the light curve.")
        page.select_option("#colour", "score")
        page.check("#log")
        expect(page.locator("#colourbar")).to_have_attribute("aria-label", re.compile("score from [234]"))
        pixels_when(page.locator("#left .points"), lambda now: coloured(now).sum() > 500)
        page.close()


def test_without_webgl_the_page_says_so(playwright: Playwright, address: str) -> None:
    started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-3d-apis"])
    page = started.new_page()
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    expect(page.locator("#left .failed")).to_contain_text("WebGL 2")
    search(page, "1012")
    star_shown(page, 12)
    started.close()


def test_a_link_by_name_lasts(opened: Opened) -> None:
    page = opened(path="/#star=KIC+1012&obsid=70120")
    star_shown(page, 12)
    page.evaluate("location.hash = '#star=kic1020'")
    star_shown(page, 20)
    assert page.url.endswith("#star=KIC+1020&obsid=70200")
    page.click("#close")
    assert "#" not in page.url


def test_a_link_to_another_tables_star_says_so(browser: Browser, address: str) -> None:
    page = browser.new_page()
    page.goto(f"{address}/#star=KIC+9")
    expect(page.locator("#notice")).to_have_text(re.compile("KIC 9 is not in this table."))
    page.click("#notice-close")
    expect(page.locator("#notice")).to_be_hidden()
    page.close()


def test_a_place_in_the_sky_finds_the_nearest(opened: Opened) -> None:
    page = opened()
    search(page, "290.24 +45.0")
    expect(page.locator("#found button").first).to_have_text(re.compile(f"{kic(12)}0″"))
    expect(page.locator("#found button").nth(1)).to_contain_text("50.9″")
    page.locator("#found button").first.click()
    star_shown(page, 12)
    expect(page.locator("#starfacts")).to_contain_text("RA 290.24°, Dec 45°")
    search(page, "10 10")
    expect(page.locator("#found")).to_have_text("No star within 0.5° of 10 10.")


def test_what_goes_wrong_is_seen(browser: Browser, address: str) -> None:
    page = browser.new_page()
    page.goto(address)
    page.wait_for_selector("body[data-ready]")
    page.route("**/api/export*", lambda route: route.fulfill(status=500, body="Internal Server Error"))
    page.locator("#left .choose").click()
    page.click("#csv")
    expect(page.locator("#notice")).to_be_visible()
    expect(page.locator("#notice")).to_contain_text("can't be exported: Internal Server Error (HTTP 500)")
    assert page.locator("#notice").evaluate("box => getComputedStyle(box).position") == "fixed"
    page.close()


def test_all_columns_export_from_the_page(opened: Opened) -> None:
    page = opened()
    page.locator("#left .choose").click()
    page.select_option("#columns", "all")
    for format in ("csv", "ecsv"):
        with page.expect_download() as download:
            page.click(f"#{format}")
        content = Path(download.value.path()).read_text()
        assert content.count("\n") > STARS - 1
        expect(page.locator("#notice")).to_contain_text(f"{STARS - 1} rows saved as")


def test_ranges_filter_both_panels_and_the_selection(opened: Opened) -> None:
    page = opened()
    before = coloured(pixels(page.locator("#right .points"))).sum()
    page.keyboard.press("f")
    expect(page.get_by_label("Column of filter 1")).to_have_value("teff")
    page.get_by_label("Teff from").fill("5500")
    page.get_by_label("Teff to").fill("6000")
    expect(page.locator("#filter-said")).to_have_text(f"11 of {STARS} rows pass")
    expect(page.locator("#right .shown")).to_have_text("11 rows")
    pixels_when(page.locator("#right .points"), lambda now: coloured(now).sum() < 0.4 * before)
    page.locator("#right .choose").click()
    expect(page.locator("#count")).to_have_text("11 of 11 selected")
    page.click("#filter-add")
    expect(page.get_by_label("Column of filter 2")).to_have_value("teff_predicted")
    expect(page.locator("#filter-lines input")).to_have_count(4)  # of two columns; some stars lack the second
    expect(page.locator("#count")).to_have_text("11 of 11 selected")
    page.get_by_label("Column of filter 2").select_option("cmd_class")
    page.get_by_label("cmd class is").select_option(label="giant")
    expect(page.locator("#count")).to_have_text("4 of 4 selected")
    expect(page.locator("#filter")).to_have_text("Filter (2)")
    page.click("#filter-none")
    expect(page.locator("#filter")).to_have_text("Filter")
    expect(page.locator("#right .shown")).to_have_text(f"{STARS - 1} of {STARS} have both")


def test_the_table_sorts_the_selection(opened: Opened) -> None:
    page = opened()
    expect(page.locator("#listing-said")).to_have_text(f"Table of all {STARS}")
    page.keyboard.press("t")
    rows = page.locator("#listing-rows tbody tr")
    expect(rows).to_have_count(25)
    expect(page.locator("#listing-page")).to_have_text("Page 1 of 3")
    page.get_by_role("button", name="Teff [K]").click()
    expect(rows.first.locator("th")).to_have_text(kic(59))
    page.get_by_role("button", name="Teff [K] ▲").press("Enter")
    expect(rows.first.locator("th")).to_have_text(kic(0))
    expect(page.locator("#listing-rows thead th[aria-sort=descending]")).to_have_count(1)
    page.get_by_role("button", name="BP − RP [mag]").click()
    page.click("#listing-after")
    page.click("#listing-after")
    expect(rows.last.locator("th")).to_have_text(kic(5))  # it has no colour: last, and again
    page.get_by_role("button", name="BP − RP [mag] ▲").click()
    page.click("#listing-after")
    page.click("#listing-after")
    expect(rows.last.locator("th")).to_have_text(kic(5))
    lasso(page, "#right", 0.01, 0.2)
    expect(page.locator("#listing-said")).to_have_text(re.compile(r"Table of the \d+ selected"))
    page.locator("#listing-add").select_option("cmd_class")
    expect(rows.first).to_contain_text(re.compile("dwarf|giant"))
    name = rows.first.locator("th").inner_text()
    rows.first.locator("button").click()
    expect(page.locator("#starname")).to_have_text(name)
    expect(rows.first).to_have_class("open")


def test_the_map_of_other_vectors_and_of_one_modality(opened: Opened) -> None:
    page = opened()
    which = page.locator("#left .which")
    before = pixels(page.locator("#left .points"))
    which.select_option(label="light curve alone")
    label = page.locator("#left .marks")
    expect(label).to_have_attribute("aria-label", re.compile("PC 1: light curve alone, 60 rows"))
    pixels_when(
        page.locator("#left .points"), lambda now: (np.abs(now - before).max(axis=2) > 30).sum() > 200
    )
    which.select_option("features_lightcurve joint")
    expect(label).to_have_attribute("aria-label", re.compile("stars of both kinds, 59 rows"))
    search(page, "1012")
    star_shown(page, 12)
    expect(page.locator("#neighbours-said")).to_contain_text("light curve alone")
    page.locator("#left .view").select_option("sky")
    expect(which).to_be_hidden()


def test_the_sky_has_east_on_the_left_and_even_degrees(opened: Opened) -> None:
    page = opened()
    page.locator("#left .view").select_option("sky")
    expect(page.locator("#left .marks")).to_have_attribute(
        "aria-label", re.compile(r"Dec \[°\] against RA \[°\]")
    )
    search(page, "1000")
    star_shown(page, 0)
    points = page.locator("#left .points")
    red = pixels(points)
    found = np.argwhere((red[..., 0] > 170) & (red[..., 1] < 90) & (red[..., 2] < 80))
    assert found[:, 1].mean() > 0.7 * red.shape[1]  # the star of the lowest right ascension
    assert np.ptp(np.argwhere(coloured(red))[:, 0]) < 60  # all at one declination: a line, not spread out


def test_a_period_is_chosen_by_click_by_typing_and_by_buttons(opened: Opened) -> None:
    page = opened(path="/#star=KIC+1010")
    star_shown(page, 10)
    expect(page.locator("#period")).to_have_value("5")
    expect(page.locator("#period-why")).to_have_text("Prot, catalogue")
    folded = page.locator("#folded")
    folded.scroll_into_view_if_needed()
    right = pixels(folded)
    page.fill("#period", "3.3")
    expect(folded).to_have_attribute("aria-label", re.compile("folded at 3.3 days"))
    pixels_when(folded, lambda now: (np.abs(now - right).max(axis=2) > 60).sum() > 500)
    page.click("#twice")
    expect(page.locator("#period")).to_have_value("6.6")
    page.click("#half")
    expect(page.locator("#period")).to_have_value("3.3")
    page.click("#peak")
    assert float(page.locator("#period").input_value()) == pytest.approx(5, abs=0.1)
    box = page.locator("#acf").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 52 + 0.4 * (box["width"] - 62), box["y"] + 60)
    expect(page.locator("#period-why")).to_have_text("clicked")
    assert float(page.locator("#period").input_value()) == pytest.approx(0.4 * 15.3, rel=0.03)
    box = page.locator("#periodogram").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + 52 + 0.5 * (box["width"] - 62), box["y"] + 60)
    middle = np.sqrt(1500 * 0.0204336 * 2 * 0.0204336)
    assert float(page.locator("#period").input_value()) == pytest.approx(middle, rel=0.1)
    page.select_option("#period-axis", "frequency")
    page.mouse.click(box["x"] + 52 + 0.5 * (box["width"] - 62), box["y"] + 60)
    assert float(page.locator("#period").input_value()) == pytest.approx(4 * 0.0204336, rel=0.1)


def test_dragging_a_plot_does_not_choose_a_period(opened: Opened) -> None:
    page = opened(path="/#star=KIC+1010")
    star_shown(page, 10)
    page.locator("#acf").scroll_into_view_if_needed()
    box = page.locator("#acf").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 200, box["y"] + 60)
    page.mouse.wheel(0, -300)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 60, steps=4)
    page.mouse.up()
    expect(page.locator("#period-why")).to_have_text("Prot, catalogue")


def test_detrending_changes_the_curve_and_is_said(opened: Opened) -> None:
    page = opened(path="/#star=KIC+1010")
    star_shown(page, 10)
    curve = page.locator("#curve")
    expect(page.locator("#curve-trend")).to_have_text("as it is")
    expect(page.locator("#window")).to_be_disabled()
    before = pixels(curve)
    page.select_option("#trend", "median")
    expect(page.locator("#curve-trend")).to_have_text("less a running median")
    expect(page.locator("#acf-trend")).to_have_text("less a running median")
    page.fill("#window", "1")
    page.keyboard.press("Enter")
    page.wait_for_timeout(400)
    pixels_when(curve, lambda now: (np.abs(now - before).max(axis=2) > 60).sum() > 500)
    page.select_option("#trend", "none")
    expect(page.locator("#folded-trend")).to_have_text("as it is")


@pytest.mark.parametrize("name", ["curve", "periodogram", "acf", "folded", "spectrum"])
def test_plots_as_pictures(opened: Opened, name: str) -> None:
    page = opened(path="/#star=KIC+1010")
    star_shown(page, 10)
    with page.expect_download() as download:
        page.locator(f"button[data-picture={name}]").click()
    assert download.value.suggested_filename == f"KIC_1010_{name}_mock.png"
    image = np.asarray(Image.open(download.value.path()).convert("RGB"), dtype=np.int16)
    assert coloured(image).sum() > 150
    assert (image[:24] < 120).any()  # the title


def test_a_panel_as_a_picture_has_its_points(opened: Opened) -> None:
    page = opened()
    with page.expect_download() as download:
        page.locator("#left .png").click()
    assert download.value.suggested_filename == "emb_parquet_map_mock.png"
    image = np.asarray(Image.open(download.value.path()).convert("RGB"), dtype=np.int16)
    assert 500 < coloured(image).sum() < 8000


def test_a_stars_data_as_files(opened: Opened) -> None:
    page = opened(path="/#star=KIC+1010")
    star_shown(page, 10)
    for name, kind, rows in (("curve", "lightcurve", 1440), ("spectrum", "spectrum", 3909)):
        with page.expect_download() as download:
            page.click(f"#{name}-file")
        assert download.value.suggested_filename == f"KIC_1010_{kind}.ecsv"
        assert len(Table.read(download.value.path(), format="ascii.ecsv")) == rows


@pytest.mark.parametrize("width", [800, 1280, 1440])
def test_the_colour_bar_has_room_for_its_numbers(opened: Opened, width: int) -> None:
    page = opened(width=width)
    box = page.locator("#colourbar").bounding_box()
    assert box is not None and box["width"] > 120


def test_the_bar_stays_where_it_is(opened: Opened) -> None:
    page = opened()
    parts = ["#palette", "#filter", "#clear", "#csv", "#left", "#right .choose"]

    def places() -> list[object]:
        page.wait_for_timeout(100)
        return [page.locator(part).bounding_box() for part in parts]

    before = places()
    for colour in ("cmd_class", "release", "map_x", "", "teff"):
        page.select_option("#colour", colour)
        assert places() == before, colour
    page.locator("#left .choose").click()
    assert places() == before
    page.locator("#left .view").select_option("kiel")
    assert places() == before


def test_mock_stars_have_no_links_and_real_ones_have(
    opened: Opened, browser: Browser, tmp_path: Path, real_table: ExploreTable
) -> None:
    page = opened(path="/#star=KIC+1010")
    star_shown(page, 10)
    expect(page.locator("#links")).to_have_text("Elsewhere:a mock star: no archive has it")
    with served(real_table) as port:
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{port}/#star=KIC+1010")
        expect(page.locator("#starname")).to_have_text(kic(10))
        links = page.locator("#links a")
        expect(links.first).to_have_attribute("href", re.compile("^https://simbad.cds.unistra.fr/.*KIC"))
        assert set(links.evaluate_all("all => all.map((link) => link.rel)")) == {"noopener noreferrer"}
        page.close()


def test_a_field_across_right_ascension_zero_stays_in_one_piece(opened: Opened) -> None:
    page = opened()
    script = """async (ra) => {
        const { inOnePiece, turned } = await import("/static/sky.js");
        return [...inOnePiece(Float32Array.from(ra, (one) => one ?? NaN))].map((one) => [one, turned(one)]);
    }"""
    assert page.evaluate(script, [359, 1.5, 350, 10]) == [[-1, 359], [1.5, 1.5], [-10, 350], [10, 10]]
    assert page.evaluate(script, [280, 300, 290]) == [[280, 280], [300, 300], [290, 290]]
    assert page.evaluate(script, [10, 200, 100]) == [[10, 10], [200, 200], [100, 100]]


def test_a_curve_is_one_line_where_samples_are_far_apart(opened: Opened) -> None:
    page = opened()
    script = """async () => {
        const { drawCurve } = await import("/static/plot.js");
        const canvas = Object.assign(document.createElement("canvas"), { width: 300, height: 60 });
        const context = canvas.getContext("2d");
        const y = Float32Array.from({ length: 3000 }, (_, index) => index % 2);
        const what = { x: (index) => Math.log10(index + 1), y };
        const view = { left: 0, right: Math.log10(3000), bottom: -0.5, top: 1.5 };
        drawCurve(context, what, 0, 3000, { x: 0, y: 0, width: 300, height: 60 }, view, "#000000");
        const { data } = context.getImageData(0, 0, 300, 60);
        const column = (x) => Array.from({ length: 60 }, (_, y) => data[4 * (300 * y + x) + 3]);
        return Array.from({ length: 300 }, (_, x) => column(x).some((opacity) => opacity > 60));
    }"""
    filled = page.evaluate(script)
    assert all(filled[1:-1]), "columns without a line"
