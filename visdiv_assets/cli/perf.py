"""The command `visdiv bench`.

Belongs here: its arguments, and what is printed. Does not: how anything is measured (`benchmarking`).
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from visdiv_assets.errors import ConfigError
from visdiv_assets.settings import load_settings

if TYPE_CHECKING:
    from visdiv_assets.perf.rehearsal.cost import Rates
    from visdiv_assets.perf.rehearsal.rehearse import Rehearsal


@click.command()
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(["join", "moments", "embedding", "verification", "selection", "clip"]),
    help="Measure this alone.",
)
@click.option("--large", is_flag=True, help="Also a share of the join of 17.3 million vectors; needs 18 GB of disk.")
@click.option(
    "--rehearse",
    "sizes",
    multiple=True,
    type=click.IntRange(min=1000),
    help="Instead, run the stages on a made-up lake of so many images; can be given several times.",
)
@click.option(
    "--rehearsed",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Add the sizes that an earlier --rehearse wrote with --json.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Make the lakes of --rehearse in this folder, and keep them; else in a temporary one.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Also write the rows here.")
def bench(
    only: tuple[str, ...],
    large: bool,
    sizes: tuple[int, ...],
    files: tuple[Path, ...],
    folder: Path | None,
    json_file: Path | None,
) -> None:
    """Measure speed and peak memory on this machine against FAISS, NumPy and the bare model.

    Takes about 18 minutes on 2 cores, and about 4 GB of temporary files. Vectors are made with the covariance of those
    of VISDIV_SOURCE's images. On a machine with a CUDA device the joins are measured there as well.

    With --rehearse N, N made-up images in FineVision's 185 subsets take the place of its 17.3 million, with copies
    planted in them; every stage that compares many images is run on them for real, and must find all that was
    planted. From two sizes on, time, memory and disk are extrapolated to 17.3 million. A process that is killed
    leaves a folder visdiv-rehearsal-... among the temporary files.
    """
    if (sizes or files) and (only or large):
        raise click.UsageError("--rehearse and --rehearsed stand alone: leave --only and --large out")
    if folder and not sizes:
        raise click.UsageError("--folder is for --rehearse: give a number of images")
    from visdiv_assets.perf import machine

    described = machine.describe()
    click.echo(described)
    if sizes or files:
        _rehearsed(described, sizes, files, folder, json_file)
        return
    from visdiv_assets.perf import suite

    figures = suite.run(load_settings(), only or suite.PARTS, with_large=large)
    click.echo(suite.table(figures))
    _write(json_file, {"machine": described, "figures": [figure.row() for figure in figures]})


def _rehearsed(
    described: str, sizes: tuple[int, ...], files: tuple[Path, ...], folder: Path | None, json_file: Path | None
) -> None:
    from visdiv_assets.perf.rehearsal.rehearse import Rehearsal, read_rehearsal
    from visdiv_assets.perf.rehearsal.report import report

    found = sum((read_rehearsal(path) for path in files), Rehearsal())
    for size in sizes:
        found += _rehearse(size, folder)
        # Each size takes long: what is done is kept if a later one is stopped.
        _write(json_file, {"machine": described, "rehearsal": found.row()})
    if sizes:
        found.rates = _rates()
    _write(json_file, {"machine": described, "rehearsal": found.row()})
    click.echo(report(found))
    if missing := found.missing():
        raise ConfigError(f"planted pairs are missing: {'; '.join(missing)}")


def _rehearse(size: int, folder: Path | None) -> Rehearsal:
    from visdiv_assets.perf.rehearsal.dagster_runs import materialize
    from visdiv_assets.perf.rehearsal.plan import finevision_plan
    from visdiv_assets.perf.rehearsal.rehearse import rehearse, require_room
    from visdiv_assets.perf.rehearsal.shape import Shape
    from visdiv_assets.perf.vectors import real_vectors
    from visdiv_assets.wiring import open_source

    settings = load_settings()
    require_room(folder or Path(tempfile.gettempdir()), size, settings.disk_reserve_gigabytes)
    shape = Shape.of(real_vectors(open_source(settings)))
    with _place(folder, size) as place:
        return rehearse(finevision_plan(size), shape, place, materialize, say=lambda line: click.echo(line, err=True))


@contextmanager
def _place(folder: Path | None, size: int) -> Iterator[Path]:
    """An empty folder for a rehearsal: below the one that is given, where it stays, or a temporary one."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="visdiv-rehearsal-") as temporary:
            yield Path(temporary)
        return
    place = folder / str(size)
    try:
        place.mkdir(parents=True)
    except FileExistsError:
        raise ConfigError(f"{place} is there already: remove it, or name another --folder") from None
    except OSError as error:
        raise ConfigError(f"cannot make {place}: {error.strerror or error}") from None
    yield place


def _rates() -> Rates:
    from visdiv_assets.perf.rehearsal.cost import measure
    from visdiv_assets.progress import progress

    with progress("measuring rates", 3, "measurement") as advance:
        return measure(progress=advance)


def _write(path: Path | None, content: dict[str, Any]) -> None:
    from visdiv_assets.storage.files import replace_local

    if path:
        with replace_local(path) as stream:
            stream.write(json.dumps(content, indent=1).encode())
