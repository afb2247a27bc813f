"""Commands on public tables of labels: catalogs list, show, get, merge, match."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from desa.cli.common import DATA, app, output_option, screen
from desa.cli.output import check_folder
from desa.files import check_output
from desa.words import counted

catalogs = typer.Typer(
    invoke_without_command=True, help="Public tables of stellar labels: list them, get them, merge them."
)
app.add_typer(catalogs, name="catalogs", rich_help_panel=DATA)


@catalogs.callback()
def start(context: typer.Context) -> None:
    """Public tables of stellar labels: list them, get them, merge them.

    Example: `desa catalogs` is the same as `desa catalogs list`
    """
    if context.invoked_subcommand is None:
        list_catalogs()


@catalogs.command("list")
def list_catalogs() -> None:
    """List the tables that desa knows, with their labels.

    Example: `desa catalogs list`
    """
    from desa.catalogs.declared import declarations

    table = Table("name", "labels", "where", "citation")
    for name, entry in declarations().catalogs.items():
        where = entry.vizier or entry.url.split("?")[0] or "its authors"
        table.add_row(name, ", ".join(entry.labels), where, entry.citation)
    screen().print(table)


@catalogs.command()
def show(name: Annotated[str, typer.Argument(help="A table's name; see `desa catalogs list`.")]) -> None:
    """Say what a table holds: columns, units, cuts, citation, and which of these facts were checked.

    Example: `desa catalogs show berger2020`
    """
    from desa.catalogs.declared import catalog, described

    for line in described(catalog(name)):
        typer.echo(line)


@catalogs.command()
def get(
    names: Annotated[list[str], typer.Argument(help="Names of tables.")],
    output: Annotated[Path, output_option("Folder to put them.")],
    table: Annotated[Path | None, typer.Option("--from", help="Stars with ra and dec, for Gaia.")] = None,
    token: Annotated[
        str | None, typer.Option(envvar="DESA_LAMOST_TOKEN", help="Your token at lamost.org.")
    ] = None,
) -> None:
    """Bring tables here, from VizieR (needs `desa[archive]`) or LAMOST; those that are there stay.

    Example: `desa catalogs get mcquillan2014 santos2019 santos2021 -o catalogs`

    Exit code 1 if any could not be had.
    """
    check_folder(output)
    from pydantic import SecretStr

    from desa.catalogs.declared import catalog
    from desa.cli.common import list_left_out
    from desa.download.catalogs import get as bring
    from desa.errors import ArchiveError
    from desa.folders import claimed

    entries = [catalog(name) for name in names]
    missing = []
    # Tables may stand beside anything: what is there is neither changed nor removed.
    with claimed(output, "folder of downloads", ours=lambda path: True):
        for entry in entries:
            try:
                path = bring(entry, output, positions=table, token=SecretStr(token) if token else None)
                screen().print(f"{entry.name}: {path}", markup=False, highlight=False)
            except ArchiveError as error:
                missing.append((entry.name, str(error).removeprefix(f"{entry.name}: ")))
    list_left_out(missing)
    raise typer.Exit(1 if missing else 0)


@catalogs.command()
def merge(
    tables: Annotated[list[Path], typer.Argument(help="Tables of labels, public ones or your own.")],
    output: Annotated[Path, output_option("Parquet file to write.")],
    priority: Annotated[
        list[str] | None, typer.Option(help="For a label, another order: prot=mcquillan2014,santos2019")
    ] = None,
    match_arcsec: Annotated[float, typer.Option(min=0, help="Radius for stars without a KIC number.")] = 2.0,
) -> None:
    """Make one table of several: for every star and label the best table's value, and which that is.

    Example: `desa catalogs merge catalogs/*.parquet my_labels.csv -o labels.parquet`

    Your own tables come before the public ones; these in the order that `desa catalogs show` says.
    """
    check_output(output)

    from desa.catalogs.declared import parse_priority
    from desa.catalogs.merge import merge as run
    from desa.catalogs.merge import origins
    from desa.files import written_whole
    from desa.parquet import write_parquet

    merged, notes = run(tables, priority=parse_priority(priority or []), match_arcsec=match_arcsec)
    with written_whole(output) as scratch:
        write_parquet(merged, scratch, compression="zstd")
    for note in notes:
        typer.echo(note)
    shown = Table("label", "stars", "from", title=f"{counted(merged.num_rows, 'star')} in {output}")
    for label, counts in origins(merged).items():
        said = ", ".join(f"{name} {count}" for name, count in counts.items())
        shown.add_row(label, str(sum(counts.values())), said)
    screen().print(shown)


@catalogs.command()
def match(
    left: Annotated[Path, typer.Argument(help="Table with ra and dec; or a HATS folder.")],
    right: Annotated[Path, typer.Argument(help="Table with ra and dec; or a HATS folder.")],
    output: Annotated[Path, output_option("Parquet file, or HATS folder, to make.")],
    radius: Annotated[float, typer.Option(min=0, help="Largest separation in arcseconds.")] = 3.0,
    workers: Annotated[int, typer.Option(min=0, help="Dask workers (`desa[catalog]`); 0: in memory.")] = 0,
) -> None:
    """Join two tables by position on the sky: each left row with its nearest right row.

    Example: `desa catalogs match lamost.parquet gaia.parquet --radius 2 -o pairs.parquet`

    HATS folders of any size are matched part by part on Dask workers.
    """
    check_output(output)

    from desa.catalogs.crossmatch_hats import match_hats, match_tables
    from desa.files import written_whole
    from desa.parquet import write_parquet

    if left.is_dir() and right.is_dir():
        match_hats(left, right, output, radius, workers=max(workers, 1))
        screen().print(f"pairs in {output}", markup=False, highlight=False)
        return
    pairs = match_tables(left, right, radius, workers=workers)
    with written_whole(output) as scratch:
        write_parquet(pairs, scratch, compression="zstd")
    screen().print(f"{counted(pairs.num_rows, 'pair')} in {output}", markup=False, highlight=False)
