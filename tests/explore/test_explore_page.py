"""The page in a real browser: headless Chromium, its WebGL in software."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
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

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

Opened = Callable[..., Page]


@pytest.fixture(scope="module")
def address(table: ExploreTable) -> Iterator[str]:
    with served(table) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


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
    for name in ("curve", "acf", "spectrum"):
        assert coloured(pixels(page.locator(f"#{name}"))).sum() > 150
    expect(page.locator("#predictions")).to_contain_text("6300 K")
    expect(page.locator("#predictions")).to_contain_text("68 %: 6200 to 6410")
    expect(page.locator("#predictions")).to_contain_text("teff: calibrated on mock survey")
    expect(page.locator("#values")).to_contain_text("6400 ± 80 K")
    expect(page.locator("#neighbours button")).to_have_count(12)
    assert {kic(11), kic(13)} <= set(page.locator("#neighbours strong").all_inner_texts()[:2])
    assert page.url.endswith("#row=12")


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
    whole = pixels(curve)
    box = curve.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 80)
    expect(page.locator("#curve-said")).to_contain_text("ppt")
    page.mouse.wheel(0, -600)
    page.mouse.move(5, 5)
    near = pixels(curve)
    assert (np.abs(near - whole).max(axis=2) > 60).sum() > 500
    curve.focus()
    page.keyboard.press("ArrowRight")
    assert (pixels(curve) != near).any()
    page.keyboard.press("0")
    page.locator("#close").focus()
    assert np.array_equal(pixels(curve), whole)


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
    assert (pixels(page.locator("#left .plot")) != ring).any()  # the ring has gone to the next neighbour
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
    assert (pixels(page.locator("#right .points")) != before).any()
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
    assert pixels(page.locator("#left")).mean() < 60
    page.click("#theme")
    assert pixels(page.locator("#left")).mean() > 200
    page.click("#theme")
    assert pixels(page.locator("#right")).mean() < 60


@pytest.mark.parametrize("width", [1280, 768])
def test_nothing_is_wider_than_the_screen(opened: Opened, width: int) -> None:
    page = opened(width, 1024, path="/#row=10")
    star_shown(page, 10)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for part in ("#left .points", "#right .points", "#curve", "#spectrum", "#neighbours"):
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
        assert coloured(pixels(page.locator("#left .points"))).sum() > 500
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
