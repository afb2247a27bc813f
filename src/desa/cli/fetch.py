"""Commands that bring files from the archives: fetch kepler, fetch lamost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from desa.cli.common import DATA, app, list_left_out, output_option, screen
from desa.cli.output import check_folder

if TYPE_CHECKING:
    from desa.download.folder import Job

fetch = typer.Typer(no_args_is_help=True, help="Bring light curves and spectra from the archives.")
app.add_typer(fetch, name="fetch", rich_help_panel=DATA)

Folder = Annotated[Path, output_option("Folder to fill; the same command goes on.")]
From = Annotated[Path | None, typer.Option("--from", help="Table with a column of numbers.")]
Connections = Annotated[int, typer.Option(min=1, max=16, help="Downloads side by side.")]
Rate = Annotated[float, typer.Option(min=0.01, max=50, help="Requests a second, of all together.")]


@fetch.command()
def kepler(
    output: Folder,
    kic: Annotated[list[int] | None, typer.Option(help="KIC number; may be given many times.")] = None,
    table: From = None,
    connections: Connections = 4,
    rate: Rate = 4.0,
) -> None:
    """Fetch Kepler's long-cadence light curves of stars from MAST (needs `desa[archive]`).

    Example: `desa fetch kepler --kic 8462852 --kic 11442793 -o kepler`

    Exit code 1 if any file could not be had; the same command tries those again.
    """
    check_folder(output)
    from desa.download.sources import kepler_jobs, mast, wanted
    from desa.progress import progress_bar

    stars = wanted(kic or (), table, "kic")
    with progress_bar("listing") as progress:
        jobs, without = kepler_jobs(stars, output, mast(), progress=progress)
    _download(jobs, without, output, connections, rate)


@fetch.command()
def lamost(
    output: Folder,
    obsid: Annotated[list[int] | None, typer.Option(help="Observation; may be given many times.")] = None,
    table: From = None,
    release: Annotated[str, typer.Option(help="Data release, with its version or without.")] = "dr10",
    token: Annotated[
        str | None,
        typer.Option(
            envvar="DESA_LAMOST_TOKEN", help="Your token at lamost.org; better by the environment variable."
        ),
    ] = None,
    connections: Connections = 4,
    rate: Rate = 2.0,
) -> None:
    """Fetch LAMOST low-resolution spectra by observation number, from the release's own service.

    Example: `DESA_LAMOST_TOKEN=... desa fetch lamost --from dr10_labels.csv -o lamost --release dr10`

    The token is never written to disk or shown. Exit code 1 if any spectrum could not be had; the same
    command tries those again.
    """
    check_folder(output)
    from pydantic import SecretStr

    from desa.download.sources import lamost_jobs, wanted

    numbers = wanted(obsid or (), table, "obsid")
    jobs = lamost_jobs(numbers, release, SecretStr(token) if token else None)
    _download(jobs, [], output, connections, rate)


def _download(
    jobs: list[Job], without: list[tuple[str, str]], output: Path, connections: int, rate: float
) -> None:
    from desa.download.folder import download
    from desa.progress import progress_bar

    with progress_bar("fetching") as progress:
        outcome = download(jobs, output, threads=connections, rate=rate, progress=progress)
    screen().print(
        f"{len(outcome.fetched)} files fetched ({outcome.size / 1e6:.1f} MB), {len(outcome.already)} there "
        f"before, {len(outcome.failed) + len(without)} could not be had, in {output}",
        markup=False,
        highlight=False,
    )
    unusable = [(name, f"kept, but desa can't use it: {reason}") for name, reason in outcome.unusable]
    list_left_out(without + outcome.failed + unusable)
    raise typer.Exit(1 if without or outcome.failed else 0)
