"""Speed and recall of `desa.Index`: exact, IVF and HNSW, on clustered and on real-like vectors.

Two sets of vectors: ``clustered``, a mixture of Gaussians of few dimensions each in 128 (simulated); and
``like``, drawn near the rows of a table of embeddings (that of ``--table``): a random mean of two
neighbouring rows plus noise a tenth of their distance, so that density and curvature are a model's own.
Queries are drawn in the same way and are not in the index. Recall is against the exact search.

    python benchmarks/search.py                                        # a million vectors, all kinds
    python benchmarks/search.py --count 200000 --kinds exact ivf --table demo/embedding.parquet
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from desa.search import engines
from desa.search.data import arrow_table, vectors_of
from desa.search.index import Index

QUERIES = 200
Floats = NDArray[np.float32]


def clustered(count: int, width: int, rng: np.random.Generator) -> Floats:
    """Two thousand clusters of unequal size, each of 4 to 24 dimensions of unequal spread, and some noise."""
    centres = 3 * rng.normal(size=(2000, width)).astype(np.float32)
    share = rng.pareto(1.5, 2000) + 0.1
    label = np.sort(rng.choice(2000, count, p=share / share.sum()))
    rows = centres[label] + 0.1 * rng.standard_normal((count, width), dtype=np.float32)
    for cluster, (start, stop) in enumerate(
        zip(*(np.searchsorted(label, np.arange(2000), side) for side in ("left", "right")), strict=True)
    ):
        size = int(np.random.default_rng(cluster).integers(4, 25))
        basis = np.random.default_rng([cluster, 1]).normal(size=(size, width)).astype(np.float32)
        rows[start:stop] += (
            rng.standard_normal((stop - start, size), dtype=np.float32) @ basis / np.sqrt(size)
        )
    return rng.permutation(rows)


def like(table: Path, count: int, rng: np.random.Generator) -> Floats:
    """Vectors near those of a table."""
    base = vectors_of(arrow_table(table), "joint", str(table))[1]
    near, far = engines.exact(base, base, 9)
    rows = np.empty((count, base.shape[1]), np.float32)
    for start in range(0, count, 50_000):
        some = rng.integers(0, len(base), min(50_000, count - start))
        other = near[some, rng.integers(1, 9, len(some))]
        share = rng.random((len(some), 1), dtype=np.float32)
        noise = rng.standard_normal((len(some), base.shape[1]), dtype=np.float32)
        spread = 0.1 * far[some, 8][:, None] / np.sqrt(base.shape[1])
        rows[start : start + len(some)] = share * base[some] + (1 - share) * base[other] + spread * noise
    return rows


def recall(found: NDArray[np.int64], right: NDArray[np.int64]) -> float:
    """Mean share of the right neighbours that were found."""
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, right, strict=True)]))


def timed(
    index: Index, queries: Floats, keep: NDArray[np.bool_] | None, probes: int
) -> tuple[list[float], Floats]:
    """Milliseconds of each query by itself, and what was found at k = 10."""
    spent, found = [], []
    for query in queries:
        start = time.perf_counter()
        rows, _ = index.neighbours(query, 10, keep, probes=probes)
        spent.append(1e3 * (time.perf_counter() - start))
        found.append(rows[0])
    return spent, np.array(found)


def measure(
    name: str, data: Floats, queries: Floats, right: NDArray[np.int64], kind: str, probes: list[int]
) -> None:
    """Print a line a setting."""
    start = time.perf_counter()
    index = Index.build(data, kind=kind)
    build = time.perf_counter() - start
    share = np.random.default_rng(1).random(len(data)) < 0.1
    for probe in probes if kind != "exact" else [0]:
        spent, found = timed(index, queries, None, probe)
        filtered, _ = timed(index, queries[:40], share, probe)
        row = {
            "vectors": name,
            "count": len(data),
            "width": data.shape[1],
            "kind": kind,
            "probes": probe,
            "build_s": round(build, 2),
            "query_ms_median": round(statistics.median(spent), 3),
            "query_ms_p95": round(float(np.quantile(spent, 0.95)), 3),
            "query_ms_where_tenth": round(statistics.median(filtered), 3),
            "recall_at_10": round(recall(found, right), 4),
            "recall_error": round(
                float(np.std([recall(a[None], b[None]) for a, b in zip(found, right, strict=True)]))
                / len(right) ** 0.5,
                4,
            ),
            "threads": torch.get_num_threads(),
            "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        }
        print(json.dumps(row), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--width", type=int, default=128, help="of the clustered vectors")
    parser.add_argument("--kinds", nargs="+", default=["exact", "ivf", "hnsw"])
    parser.add_argument("--probes", nargs="+", type=int, default=[0], help="0: as shipped")
    parser.add_argument("--table", type=Path, help="table of embeddings for the real-like vectors")
    parser.add_argument("--only", choices=("clustered", "like"))
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    for name in ("clustered", "like"):
        if chosen.only not in (None, name) or (name == "like" and chosen.table is None):
            continue
        rng = np.random.default_rng(chosen.seed)
        total = chosen.count + QUERIES
        rows = clustered(total, chosen.width, rng) if name == "clustered" else like(chosen.table, total, rng)
        data, queries = rows[:-QUERIES], rows[-QUERIES:]
        right = engines.exact(data, queries, 10)[0]
        for kind in chosen.kinds:
            measure(name, data, queries, right, kind, chosen.probes)


if __name__ == "__main__":
    main()
