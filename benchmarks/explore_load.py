"""Many clients of `desa explore` at once: how long answers take, and the server's memory before and after.

    python benchmarks/explore_load.py [--rows 1000000] [--clients 200] [--folder DIR]

Each client does what the page does: it opens (columns of all rows), then points at stars, clicks, searches,
without a pause. The server is a process of its own on 127.0.0.1, the clients another; both share this
machine's cores, so that the server alone is quicker than what is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import psutil

from explore import line, make_table

COLUMNS = ("map_x", "map_y", "bp_rp", "m_g", "teff")
STARS = 5
"""Stars that each client opens."""


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, path: str) -> int:
    """One request on a kept connection; bytes of the answer."""
    writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
    await writer.drain()
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    if " 200 " not in head.splitlines()[0]:
        raise RuntimeError(f"{path}: {head.splitlines()[0]}")
    length = int(head.partition("content-length:")[2].split()[0])
    left = length
    while left:
        left -= len(await reader.read(min(left, 1 << 20)))
    return length


def asked_by(seed: int, rows: int) -> list[tuple[str, str]]:
    """(what, path) of a client, in its order."""
    chance = random.Random(seed)
    found = [("page", "/"), ("about", "/api/about")]
    found += [("column", f"/api/column/{name}") for name in COLUMNS]
    for _ in range(STARS):
        found += [("names", f"/api/names?rows={chance.randrange(rows)}") for _ in range(3)]
        row = chance.randrange(rows)
        found += [("star", f"/api/star/{row}"), ("neighbours", f"/api/star/{row}/neighbours?k=12")]
        found += [("search", f"/api/search?q={chance.randrange(rows)}")]
    return found


async def client(port: int, rows: int, seed: int, took: dict[str, list[float]]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for what, path in asked_by(seed, rows):
        start = time.perf_counter()
        await ask(reader, writer, port, path)
        took[what].append(time.perf_counter() - start)
    writer.close()


async def load(port: int, rows: int, clients: int) -> tuple[dict[str, list[float]], float]:
    took: dict[str, list[float]] = defaultdict(list)
    start = time.perf_counter()
    await asyncio.gather(*(client(port, rows, seed, took) for seed in range(clients)))
    return took, time.perf_counter() - start


def memory(process: psutil.Process) -> float:
    return process.memory_info().rss / 1e9


def watch(process: psutil.Process, port: int, rows: int, clients: int) -> None:
    """Start the clients, and sample the server's memory while they are at it."""
    asyncio.run(load(port, rows, 1))  # what is read when it is first wanted is no memory of the clients
    before = peak = memory(process)
    code = f"import sys; sys.path[:0] = {sys.path!r}; from explore_load import report; report"
    code += f"({port}, {rows}, {clients})"
    others = subprocess.Popen([sys.executable, "-c", code])
    while others.poll() is None:
        peak = max(peak, memory(process))
        time.sleep(0.05)
    if others.returncode:
        raise SystemExit("the clients failed")
    time.sleep(5)
    line(
        "server's memory",
        f"{before:6.2f} GB before, {peak:.2f} GB at most, {memory(process):.2f} GB 5 s after",
    )


def report(port: int, rows: int, clients: int) -> None:
    took, lasted = asyncio.run(load(port, rows, clients))
    everything = sorted(value for values in took.values() for value in values)
    for what, values in [*took.items(), ("all", everything)]:
        ninth = statistics.quantiles(values, n=20)[-1]
        line(
            what, f"p50 {statistics.median(values):7.3f} s, p95 {ninth:7.3f} s, slowest {max(values):7.3f} s"
        )
    line(
        f"{clients} clients, {len(everything)} answers",
        f"{lasted:6.1f} s, {len(everything) / lasted:.0f} a second",
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--clients", type=int, default=200)
    options.add_argument("--folder", type=Path, help="where the table is made; left out: a temporary one")
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        path = (chosen.folder or Path(temporary)) / f"explore-{chosen.rows}.parquet"
        if not path.is_file():
            make_table(path, chosen.rows)
        line("data", f"made up (mock), {chosen.rows} rows; {platform.machine()}, {psutil.cpu_count()} cores")
        command = [sys.executable, "-m", "desa", "explore", str(path), "--port", "0", "--no-browser"]
        server = subprocess.Popen([*command, "--map", "pca"], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            address = next(said for said in server.stdout if said.startswith("http://"))
            port = int(address.split(":")[2].partition("/")[0])
            watch(psutil.Process(server.pid), port, chosen.rows, chosen.clients)
        finally:
            server.terminate()
            server.wait(20)


if __name__ == "__main__":
    main()
