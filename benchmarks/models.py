"""Speed and memory of the published model's parts, against a plain implementation of the same arithmetic.

Plain: attention matrices in memory, nothing fused (tests/helpers/plain_model.py). Both get the same batch and
alternate; medians are reported, and how far each is from what the machine's matrix products reach.
Where other programs run beside, compare the processor's time (``cpu``): it leaves out the waiting.

    python benchmarks/models.py                          # all of it, on CUDA where there is one
    python benchmarks/models.py --parts dualformer --dtypes float32 bfloat16 --compile --batch-sizes auto
    python benchmarks/models.py --parts spectrum --dtypes float32 --threads 1 --no-training
    python benchmarks/models.py --survey SURVEY --model MODEL   # stars a second, end to end
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from desa.config import settings
from desa.inference.batch_size import largest
from desa.losses import covariance, duality
from desa.models import published_names as names
from desa.models.dualformer import DualFormer
from desa.models.lightcurve import LightCurveEncoder
from desa.models.spectrum import SpectrumEncoder

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
from helpers import plain_model as plain

HEADS, STEP_BATCH = 8, 2
SIZES = settings("published")
Inputs = tuple[Tensor, ...]


@dataclass
class Row:
    """One line of the table, times a star: ratio to plain at the same batch, share of the machine's peak."""

    part: str
    variant: str
    batch: int
    seconds: float
    processor: float
    ratio: float
    gflops: float
    share: float
    error: float
    megabytes: float


def make(part: str) -> torch.nn.Module:
    torch.manual_seed(0)
    module: torch.nn.Module
    if part == "lightcurve":
        module = LightCurveEncoder(SIZES.lightcurve)
    elif part == "spectrum":
        module = SpectrumEncoder(SIZES.spectrum)
    else:
        module = DualFormer(SIZES.dualformer, 2048, 256)
    return module.eval()


def inputs_of(part: str, batch: int, device: torch.device) -> Inputs:
    shapes = {"lightcurve": [(4, 34560)], "spectrum": [(4096,)], "dualformer": [(2048,), (256,), (6,)]}[part]
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.randn(batch, *shape, generator=generator).to(device) for shape in shapes)


def plain_state(part: str, module: torch.nn.Module) -> dict[str, Tensor]:
    """The module's weights under their published names."""
    places = {
        "lightcurve": [("lc_backbone.0.", names.LIGHTCURVE), ("lc_backbone.1.", names.PROJECTOR)],
        "spectrum": [("spectra_backbone.", names.SPECTRUM)],
        "dualformer": [("dual_former.", names.DUALFORMER)],
    }[part]
    found = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        for prefix, rules in places:
            theirs = names.published(name, rules)
            if theirs is not None:
                found[prefix + theirs] = tensor
    return found


def plain_call(part: str, state: dict[str, Tensor]) -> Callable[..., Tensor]:
    if part == "lightcurve":
        return lambda x: plain.lightcurve_encoder(state, x, HEADS)
    if part == "spectrum":
        return lambda x: plain.spectrum_encoder(state, x, HEADS)
    return lambda *x: torch.cat(plain.dualformer(state, *x, HEADS), 1)


def own_call(part: str, module: torch.nn.Module) -> Callable[..., Tensor]:
    if part != "dualformer":
        return module

    def call(*x: Tensor) -> Tensor:
        output = module(*x)
        return torch.cat([output.z_spectrum, output.z_lightcurve, output.p_spectrum, output.p_lightcurve], 1)

    return call


def seconds(call: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def peak(device: torch.device, dtype: torch.dtype, size: int = 2048) -> float:
    """Best GFLOP/s of a matrix product: what the parts are measured by."""
    size *= 4 if device.type == "cuda" else 1
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best = min(seconds(lambda: torch.nn.functional.linear(a, b), device) for _ in range(8))
    return 2 * size**3 / best / 1e9


def largest_batch(part: str, calls: Sequence[Callable[..., Tensor]], device: torch.device) -> int:
    """The largest power of two that fits with each of the calls (on a CPU: 8, where more gains nothing)."""
    if device.type == "cpu":
        return 8
    return min(largest(lambda size, call=call: call(*inputs_of(part, size, device)), 8) for call in calls)


def variants_of(arguments: argparse.Namespace) -> list[tuple[str, bool]]:
    plain_ones = [(dtype, False) for dtype in arguments.dtypes]
    return plain_ones + ([(dtype, True) for dtype in arguments.dtypes] if arguments.compile else [])


def prepared(part: str, device: torch.device, dtype: str, compiled: bool) -> torch.nn.Module:
    """The module as `Desa.fast` makes it."""
    module = make(part).to(device)
    if dtype == "bfloat16":
        module.reduce(torch.bfloat16)
    if compiled:
        for block in module.heavy():
            block.compile()
    return module


@torch.inference_mode()
def forward_rows(part: str, arguments: argparse.Namespace, peaks: dict[str, float]) -> list[Row]:
    """Plain, and every variant of ours."""
    device = torch.device(arguments.device)
    reference = plain_call(part, plain_state(part, make(part).to(device)))
    star = inputs_of(part, 1, device)
    with FlopCounterMode(display=False) as counter:
        expected = reference(*star)
    gflop = counter.get_total_flops() / 1e9
    rows: list[Row] = []
    for dtype, compiled in variants_of(arguments):
        call = own_call(part, prepared(part, device, dtype, compiled))
        for size in arguments.batch_sizes:
            batch = largest_batch(part, (reference, call), device) if size == "auto" else int(size)
            many = inputs_of(part, batch, device)
            many = tuple(torch.cat([one, rest[1:]]) for one, rest in zip(star, many, strict=True))
            error = float((call(*many)[:1] - expected).abs().max() / expected.abs().max())
            memory = float("nan")
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
                call(*many)
                memory = torch.cuda.max_memory_allocated(device) / 1e6
            times = alternating(partial(reference, *many), partial(call, *many), arguments.repeats, device)
            (plain_wall, plain_cpu), (wall, cpu) = ((a / batch, b / batch) for a, b in times)
            if dtype == arguments.dtypes[0] and not compiled:
                speed = gflop / plain_wall
                share = speed / peaks["float32"]
                nan = float("nan")
                rows.append(Row(part, "plain", batch, plain_wall, plain_cpu, 1.0, speed, share, 0.0, nan))
            speed, name = gflop / wall, f"{dtype}{' compiled' if compiled else ''}"
            share, ratio = speed / peaks[dtype], plain_wall / wall
            rows.append(Row(part, name, batch, wall, cpu, ratio, speed, share, error, memory))
            if arguments.profile:
                profile(call, many)
    return rows


def alternating(
    first: Callable[[], object], second: Callable[[], object], repeats: int, device: torch.device
) -> list[tuple[float, float]]:
    """Median seconds of both, by the clock and of the processor, run in turns."""
    found: list[list[tuple[float, float]]] = [[], []]
    for _ in range(repeats):
        for call, times in zip((first, second), found, strict=True):
            before = time.process_time()
            wall = seconds(call, device)
            times.append((wall, time.process_time() - before))
    return [
        (statistics.median(wall), statistics.median(cpu))
        for wall, cpu in (zip(*one, strict=True) for one in found)
    ]


def profile(call: Callable[..., Tensor], inputs: Inputs) -> None:
    with torch.profiler.profile() as found:
        call(*inputs)
    print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=12, max_name_column_width=40))


def most_memory() -> float:
    """Peak resident memory of this process in MB (Linux); `getrusage` would count its parent's too."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def step_worker(which: str, device: torch.device, steps: int) -> None:
    """Training steps of the DualFormer in a process of their own; prints seconds and the peak of memory."""
    module = DualFormer(SIZES.dualformer, 2048, 256).to(device).train()
    torch.manual_seed(0)
    state = plain_state("dualformer", module)
    optimizer = torch.optim.AdamW(module.parameters(), lr=2e-5)
    inputs = inputs_of("dualformer", STEP_BATCH, device)
    rate = SIZES.dualformer.dropout

    def step() -> None:
        if which == "plain":
            stars = [tuple(x[k : k + 1] for x in inputs) for k in range(STEP_BATCH)]
            rows = [plain.dualformer(state, *star, HEADS, rate) for star in stars]
            z1, z2, p1, p2 = (torch.cat(parts) for parts in zip(*rows, strict=True))
        else:
            output = module(*inputs)
            z1, z2, p1, p2 = (
                output.z_spectrum,
                output.z_lightcurve,
                output.p_spectrum,
                output.p_lightcurve,
            )
        loss = 0.5 * covariance(p1, p2) + 0.5 * duality(z1, p1, z2, p2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    before = most_memory()
    step()
    times = [seconds(step, device) for _ in range(steps)]
    used = most_memory()
    if device.type == "cuda":
        before, used = 0.0, torch.cuda.max_memory_allocated(device) / 2**20
    print(json.dumps({"seconds": times, "megabytes": used, "above_start": used - before}))


def training_rows(arguments: argparse.Namespace) -> list[dict[str, object]]:
    """Alternating processes, so that each has its own peak of memory."""
    found: dict[str, list[dict[str, object]]] = {"plain": [], "ours": []}
    for _ in range(max(1, arguments.repeats // 2)):
        for which in found:
            command = [sys.executable, __file__, "--step-worker", which, "--device", arguments.device]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[which].append(json.loads(done.stdout.splitlines()[-1]))
    rows = []
    for which, runs in found.items():
        times = [value for run in runs for value in run["seconds"]]  # type: ignore[attr-defined]
        memory = max(float(run["above_start"]) for run in runs)  # type: ignore[arg-type]
        rows.append({"variant": which, "seconds": statistics.median(times), "megabytes": memory})
    return rows


def survey_rate(survey: str, model: str, device: str) -> None:
    """Stars a second through `embed_survey`, and which stage limits."""
    import desa
    from desa.inference.embed import embed_survey
    from desa.survey.store import Survey

    opened, loaded = Survey.open(survey), desa.load(model).to(device)
    start = time.perf_counter()
    table = embed_survey(loaded, opened)
    spent = time.perf_counter() - start
    facts = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    print(f"embedding: {table.num_rows / spent:.1f} stars/s, {facts.get('desa.limit', '')}")


def arguments_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="*", default=["lightcurve", "spectrum", "dualformer"])
    parser.add_argument("--dtypes", nargs="*", default=["float32", "bfloat16"])
    parser.add_argument("--compile", action="store_true", help="compiled variants too (default on CUDA)")
    sizes = "numbers, or auto: the largest that fits with both"
    parser.add_argument("--batch-sizes", nargs="*", default=["1", "8", "32"], help=sizes)
    parser.add_argument("--threads", type=int, help="of this process; else as many as there are cores")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--no-training", action="store_true")
    parser.add_argument("--profile", action="store_true", help="which operations take the time")
    parser.add_argument("--survey", help="survey folder: measure embedding end to end instead")
    parser.add_argument("--model", help="model folder for --survey")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    parser.add_argument("--step-worker", choices=["plain", "ours"], help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = arguments_of()
    device = torch.device(arguments.device)
    if arguments.step_worker:
        step_worker(arguments.step_worker, device, 1)
        return
    if arguments.survey:
        survey_rate(arguments.survey, arguments.model, arguments.device)
        return
    arguments.compile |= device.type == "cuda"
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    peaks = {dtype: peak(device, getattr(torch, dtype)) for dtype in {"float32", *arguments.dtypes}}
    machine = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    )
    reached = ", ".join(f"{dtype} {value:.0f} GFLOP/s" for dtype, value in sorted(peaks.items()))
    print(f"{machine}, torch {torch.__version__}; matrix products reach {reached}")
    print(
        f"{'part':12}{'variant':20}{'batch':>6}{'s/star':>9}{'cpu':>9}{'ratio':>7}"
        f"{'GFLOP/s':>9}{'of peak':>9}{'error':>10}"
    )
    rows = []
    for part in arguments.parts:
        for row in forward_rows(part, arguments, peaks):
            rows.append(asdict(row))
            print(
                f"{row.part:12}{row.variant:20}{row.batch:6}{row.seconds:9.3f}{row.processor:9.3f}"
                f"{row.ratio:7.2f}{row.gflops:9.1f}{row.share:9.0%}{row.error:10.1e}"
                + (f"{row.megabytes:9.0f} MB" if row.megabytes > 0 else ""),
                flush=True,
            )
    training = []
    if not arguments.no_training:
        training = training_rows(arguments)
        for step in training:
            print(f"training step, batch {STEP_BATCH}, {step['variant']}: {step['seconds']:.2f} s,", end=" ")
            print(f"{step['megabytes']:.0f} MB above the start")
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"machine": machine, "rows": rows, "training": training}, indent=2)
        )


if __name__ == "__main__":
    main()
