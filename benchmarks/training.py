"""Step time and peak memory of every preset's three stages.

    python benchmarks/training.py [--device cpu] [--presets mini small published] [--threads N]

Each stage runs in a process of its own, so that its peak memory is its own, on synthetic batches of
the true shapes (light curves with gaps, spectra of 3909 pixels). A step is preprocessing, forward,
backward and AdamW. On a CPU the published preset runs at batch 2, since 16 takes minutes
and more memory than a laptop has.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from desa.config import Settings, settings
from desa.io.lamost import LAMOST_LOG_WAVELENGTH_START, LAMOST_PIXELS
from desa.models.dualformer import DualFormer
from desa.models.network import Network
from desa.pipeline import Clock
from desa.survey.tensors import LightCurveBatch, SpectrumBatch
from desa.training.alignment import Align
from desa.training.loop import autocast
from desa.training.pairs import FeatureBatch
from desa.training.task import Task
from desa.training.tasks import PretrainLightCurve, PretrainSpectrum

STAGES = ("spectrum", "lightcurve", "align")
CPU_BATCH_PUBLISHED = 2


def spectrum_batch(size: int) -> SpectrumBatch:
    draws = torch.Generator().manual_seed(0)
    flux = 100 + torch.randn(size, LAMOST_PIXELS, generator=draws)
    start = torch.full((size,), LAMOST_LOG_WAVELENGTH_START, dtype=torch.float64)
    labels = {
        "teff": torch.full((size,), 5500.0),
        "log_g": torch.full((size,), 4.0),
        "fe_h": torch.zeros(size),
    }
    stars = torch.arange(size)
    ivar = torch.rand(size, LAMOST_PIXELS, generator=draws)
    return SpectrumBatch(flux, ivar, torch.zeros(size), start, torch.full((size,), 30.0), labels, stars)


def lightcurve_batch(size: int, length: int) -> LightCurveBatch:
    draws = torch.Generator().manual_seed(0)
    flux = 1 + 1e-3 * torch.randn(size, 2, length, generator=draws)
    flux[torch.rand(flux.shape, generator=draws) < 0.1] = torch.nan
    return LightCurveBatch(
        flux, {"log_prot": torch.ones(size), "prot": torch.full((size,), 10.0)}, torch.arange(size)
    )


def make(stage: str, chosen: Settings, size: int) -> tuple[Task, Any]:
    """A stage's task and a batch for it."""
    if stage == "spectrum":
        return PretrainSpectrum(chosen), spectrum_batch(size)
    if stage == "lightcurve":
        return PretrainLightCurve(chosen), lightcurve_batch(size, chosen.preprocess_lightcurve.length)
    with torch.device("meta"):
        spectrum = Network(chosen, ["spectrum"]).require("spectrum_encoder").features
    lightcurve, prior = chosen.lightcurve.features, chosen.dualformer.prior_size
    given = torch.randn(size, prior) if prior else None
    batch = FeatureBatch(torch.randn(size, spectrum), torch.randn(size, lightcurve), given)
    return Align(chosen, DualFormer(chosen.dualformer, spectrum, lightcurve)), batch


def preprocess(stage: str, task: Any, batch: Any) -> Callable[[], Any] | None:
    """What preprocessing of a batch is, by itself."""
    if stage == "spectrum":
        parts = (batch.flux, batch.ivar, batch.z, batch.log_wavelength_start)
        return lambda: task.model.preprocess_spectrum(*parts)
    if stage == "lightcurve":
        return lambda: task.model.preprocess_lightcurve(batch.flux.flatten(0, 1))
    return None


def measure(stage: str, preset: str, device: torch.device, steps: int, dtype: str) -> dict[str, Any]:
    """Median seconds of each part of a step, and peak memory."""
    chosen = settings(preset)
    size = getattr(chosen, f"train_{stage}").batch_size
    if preset == "published" and device.type == "cpu":
        size = CPU_BATCH_PUBLISHED
    torch.manual_seed(0)
    task, batch = make(stage, chosen, size)
    task.to(device)
    batch = batch.to(device)
    optimizer = torch.optim.AdamW(task.parameters(), lr=1e-5, fused=True)
    generator = torch.Generator(device).manual_seed(0)
    before = preprocess(stage, task, batch)
    rounds = []
    for _ in range(steps + 1):
        clock = Clock(device)
        if before is not None:
            with clock.stage("preprocess"):
                before()
        with clock.stage("forward"), autocast(device, dtype):
            loss, _ = task(batch, generator)
        with clock.stage("backward"):
            loss.backward()
        with clock.stage("optimizer"):
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        rounds.append(clock.seconds)
    parts = {name: statistics.median(r[name] for r in rounds[1:]) for name in rounds[0]}
    if "preprocess" in parts:  # the task's forward does it too
        parts["forward"] = max(0.0, parts["forward"] - parts["preprocess"])
    peak = (
        torch.cuda.max_memory_allocated(device)
        if device.type == "cuda"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    count = sum(p.numel() for p in task.parameters())
    return {"batch": size, "parameters": count, "step": sum(parts.values()), "peak": peak, **parts}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="+", default=["mini", "small", "published"])
    parser.add_argument("--stages", nargs="+", default=list(STAGES), choices=STAGES)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--one", nargs=2, metavar=("PRESET", "STAGE"), help="one measurement, as JSON")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.one:
        preset, stage = options.one
        found = measure(stage, preset, torch.device(options.device), options.steps, options.dtype)
        print(json.dumps(found))
        return
    names = (
        "preset",
        "stage",
        "parameters",
        "batch",
        "preprocess",
        "forward",
        "backward",
        "optimizer",
        "step",
    )
    title = f"{options.device}, {options.threads} threads, {options.dtype}; milliseconds, peak memory"
    table = Table(*names, "items/s", "peak", title=title)
    started = time.perf_counter()
    for preset in options.presets:
        for stage in options.stages:
            command = [sys.executable, __file__, *sys.argv[1:], "--one", preset, stage]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
            if done.returncode != 0:
                table.add_row(preset, stage, f"failed ({done.returncode})")
                continue
            found = json.loads(done.stdout.splitlines()[-1])
            times = [f"{1e3 * found.get(name, 0.0):.1f}" for name in names[4:]]
            rate = f"{found['batch'] / found['step']:.3g}"
            peak = f"{found['peak'] / 2**20:.0f} MiB"
            table.add_row(preset, stage, f"{found['parameters']:,}", str(found["batch"]), *times, rate, peak)
    console = Console(width=150)
    console.print(table)
    console.print(f"{time.perf_counter() - started:.0f} s in all", highlight=False)


if __name__ == "__main__":
    main()
