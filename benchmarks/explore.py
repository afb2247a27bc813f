"""How quick `desa explore` is with a million rows: the server's answers, and frames in headless Chromium.

    python benchmarks/explore.py [--rows 1000000] [--folder DIR] [--no-browser]

The table is made up. A headless browser draws by software on the processor, so that frames are far slower
than with a graphics card; the renderer's name is printed beside them.
"""

from __future__ import annotations

import argparse
import http.client
import itertools
import platform
import shutil
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import uvicorn
from playwright.sync_api import Page, sync_playwright

from desa.explore.app import create_app
from desa.explore.maps import map_of
from desa.explore.serve import bound_socket
from desa.explore.table import ExploreTable

WIDTH = 64
CLASSES = ("dwarf", "giant", "subgiant", "binary")
FRAMES = """() => {
  window.frames_seen = [];
  const look = (now) => { window.frames_seen.push(now); window.looking = requestAnimationFrame(look); };
  window.looking = requestAnimationFrame(look);
}"""
RENDERER = """() => {
  const gl = document.createElement("canvas").getContext("webgl2");
  const more = gl.getExtension("WEBGL_debug_renderer_info");
  return gl.getParameter(more ? more.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
}"""


def make_table(path: Path, rows: int) -> None:
    """Vectors in 20 groups, a main sequence with giants, and a few columns more."""
    rng = np.random.default_rng(0)
    group = rng.integers(0, 20, rows)
    vectors = rng.normal(0, 3, (20, WIDTH)).astype(np.float32)[group]
    vectors += rng.standard_normal((rows, WIDTH), dtype=np.float32)
    colour = rng.gamma(4, 0.25, rows)
    giant = rng.random(rows) < 0.2
    magnitude = np.where(giant, rng.normal(0.5, 1, rows), 0.5 + 4.5 * colour) + rng.normal(0, 0.3, rows)
    table = pa.table(
        {
            "star_id": [f"KIC {number}" for number in range(rows)],
            "obsid": [str(10**8 + number) for number in range(rows)],
            "modality": pa.array(["joint"] * rows),
            "joint": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), WIDTH),
            "bp_rp": colour,
            "m_g": magnitude,
            "teff": 8000 / (0.6 + colour),
            "log_g": np.where(giant, 2.5, 4.4) + rng.normal(0, 0.2, rows),
            "cmd_class": np.asarray(CLASSES)[rng.integers(0, 4, rows)],
        }
    ).replace_schema_metadata({"desa.model": "made up", "desa.data": "mock table"})
    pq.write_table(table, path)


def answer_time(port: int, path: str, body: bytes | None = None) -> tuple[float, float, int]:
    """Seconds to the first byte and to the last, and bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    start = time.perf_counter()
    connection.request("POST" if body else "GET", path, body)
    answer = connection.getresponse()
    first = answer.read(1)
    begun = time.perf_counter() - start
    rest = answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status}")
    return begun, time.perf_counter() - start, len(first) + len(rest)


def line(what: str, value: str) -> None:
    print(f"{what:52s} {value}", flush=True)


def time_server(port: int, rows: int, repeats: int) -> None:
    chosen = np.arange(0, rows, 10, dtype="<u4").tobytes()
    asked: list[tuple[str, str, bytes | None]] = [
        ("page", "/", None),
        ("what there is", "/api/about", None),
        ("a column", "/api/column/bp_rp", None),
        ("search of a KIC", f"/api/search?q={rows - 1}", None),
        ("12 neighbours of a star", f"/api/star/{rows // 2}/neighbours?k=12", None),
        (f"CSV of {rows // 10} rows", "/api/export?columns=bp_rp,m_g", chosen),
    ]
    for what, path, body in asked:
        times = [answer_time(port, path, body) for _ in range(repeats)]
        begun, ended = (statistics.median(part) for part in list(zip(*times, strict=True))[:2])
        slowest = max(item[1] for item in times)
        line(
            what,
            f"{1e3 * begun:8.1f} ms to the first byte, {1e3 * ended:8.1f} ms to the last "
            f"(slowest {1e3 * slowest:.1f}), {times[0][2] / 1e6:.2f} MB",
        )


def frames(page: Page) -> list[float]:
    """Milliseconds between frames since they were counted."""
    seen = page.evaluate("() => { cancelAnimationFrame(window.looking); return window.frames_seen; }")
    return [later - before for before, later in itertools.pairwise(seen)]


def drawn(page: Page) -> int:
    return int(page.locator("#left .points").get_attribute("data-drawn") or 0)


def time_browser(port: int) -> None:
    path = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
    if path is None:
        line("browser", "no Chromium on this machine")
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(120_000)
        page.goto(f"http://127.0.0.1:{port}/")
        line("renderer", str(page.evaluate(RENDERER)))
        page.close()
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(120_000)
        start = time.perf_counter()
        page.goto(f"http://127.0.0.1:{port}/")
        page.wait_for_selector("body[data-ready]")
        page.locator("#left .points[data-drawn]").wait_for()
        page.screenshot()
        line("page opened, both panels on screen", f"{time.perf_counter() - start:8.2f} s")
        time_moving(page)
        time_brushing(page)
        browser.close()


def time_moving(page: Page) -> None:
    box: Any = page.locator("#left .points").bounding_box()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 210, box["y"] + 200)
    page.wait_for_timeout(100)
    page.evaluate(FRAMES)
    least = 10**12
    start = time.perf_counter()
    step = 0
    while time.perf_counter() - start < 5:
        step += 1
        page.mouse.move(box["x"] + 200 + step % 60, box["y"] + 200 + step % 40)
        least = min(least, drawn(page))
    between = frames(page)
    page.mouse.up()
    line(
        "moving the map",
        f"{1000 / statistics.mean(between):8.1f} frames/s (median {statistics.median(between):.0f} ms, "
        f"slowest {max(between):.0f} ms), {least} points in the quickest",
    )
    page.wait_for_timeout(1500)
    line("at rest", f"{drawn(page):8d} points")


def time_brushing(page: Page) -> None:
    start = time.perf_counter()
    page.click("#left .choose")
    page.locator("#clear:enabled").wait_for()
    page.screenshot()
    line("selecting all in view, both panels on screen", f"{time.perf_counter() - start:8.2f} s")
    start = time.perf_counter()
    page.select_option("#colour", "cmd_class")
    page.locator("#words button").first.wait_for()
    page.screenshot()
    line("another colour, both panels on screen", f"{time.perf_counter() - start:8.2f} s")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--folder", type=Path, help="where the table is made; left out: a temporary one")
    options.add_argument("--repeats", type=int, default=7)
    options.add_argument("--browser", action=argparse.BooleanOptionalAction, default=True)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        path = (chosen.folder or Path(temporary)) / f"explore-{chosen.rows}.parquet"
        if not path.is_file():
            make_table(path, chosen.rows)
        line(
            "data",
            f"made up (mock), {chosen.rows} rows, vectors of {WIDTH}; {platform.machine()}, Python "
            f"{platform.python_version()}, command: {' '.join(sys.argv)}",
        )
        start = time.perf_counter()
        table = ExploreTable(path)
        line("opening the table", f"{time.perf_counter() - start:8.2f} s")
        for what in ("map (PCA), or as kept", "map, kept"):
            start = time.perf_counter()
            places = map_of(table, method="pca")
            line(what, f"{time.perf_counter() - start:8.2f} s")
        listening = bound_socket(0)
        port = listening.getsockname()[1]
        config = uvicorn.Config(create_app(table, places, port), log_level="error")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        time_server(port, chosen.rows, chosen.repeats)
        if chosen.browser:
            time_browser(port)
        server.should_exit = True
        thread.join(timeout=10)


if __name__ == "__main__":
    main()
