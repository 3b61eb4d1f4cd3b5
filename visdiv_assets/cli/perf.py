"""The command `visdiv perf`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from visdiv_assets.cli.options import pass_settings
from visdiv_assets.cli.output import Form, echo_note, echo_tables, format_option
from visdiv_assets.errors import ConfigError, IncompleteError
from visdiv_assets.settings import Settings

if TYPE_CHECKING:
    from visdiv_assets.perf.images.rehearse import ImageRehearsal
    from visdiv_assets.perf.rehearsal.rehearse import Rehearsal


EXAMPLES = """\
\b
Examples:
  visdiv perf --only join
  visdiv perf --json perf.json
  visdiv perf --rehearse 100000 --rehearse 200000
  visdiv perf --gpu --json gpu.json
  visdiv perf --peers --peer imagededup=/opt/imagededup/bin/python
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--only",
    multiple=True,
    type=click.Choice(
        ["join", "moments", "embedding", "pass", "verification", "selection", "curation", "texts", "clip"]
    ),
    help="Run only this measurement (repeatable).",
)
@click.option(
    "--large", is_flag=True, help="Also measure a part of the join of 17.3 million vectors; needs 18 GB of disk."
)
@click.option(
    "--rehearse",
    "sizes",
    multiple=True,
    type=click.IntRange(min=1000),
    help="Run the stages on a synthetic lake with this number of images instead (repeatable).",
)
@click.option(
    "--rehearse-images",
    "images",
    type=click.IntRange(min=400),
    help="Run everything on this number of generated images instead.",
)
@click.option(
    "--rehearsed",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Include the results that an earlier --rehearse wrote with --json (repeatable).",
)
@click.option(
    "--gpu",
    is_flag=True,
    help="Check this machine's GPU instead; continues from the results in the --json file, which is required.",
)
@click.option("--small", is_flag=True, help="Check with --gpu at small sizes, as is done without a CUDA device.")
@click.option(
    "--seconds",
    type=click.IntRange(min=10),
    default=450,
    show_default=True,
    help="Start and stop the parts of --gpu so that they end after this many seconds.",
)
@click.option("--peers", is_flag=True, help="Compare with other tools that find copies instead; see below.")
@click.option(
    "--peer",
    "pythons",
    multiple=True,
    metavar="TOOL=PYTHON",
    callback=lambda context, parameter, values: _parse_peers(values),
    help="The Python in which a tool of --peers is installed: immaculate, imagededup or fastdup (repeatable).",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to create the lakes of rehearsals, or the input of --gpu, in and to keep them; default: a temporary "
    "folder.",
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="JSON file to write as well."
)
@format_option
@pass_settings
def perf(
    settings: Settings,
    only: tuple[str, ...],
    large: bool,
    sizes: tuple[int, ...],
    images: int | None,
    files: tuple[Path, ...],
    gpu: bool,
    small: bool,
    seconds: int,
    peers: bool,
    pythons: dict[str, Path],
    folder: Path | None,
    json_file: Path | None,
    form: Form,
) -> None:
    """Measure speed and peak memory on this machine.

    Compares with FAISS, NumPy and the bare model. Takes about 18 minutes on 2 cores, and 4 GB for temporary files.
    Vectors are generated with the covariance of the vectors of VISDIV_SOURCE's images. With a CUDA device, joins are
    also measured on it.

    --rehearse N generates N images in FineVision's 185 subsets, with planted copies, and runs every stage that compares
    many images on them; the stages must find all planted copies. With two or more sizes, time, memory and disk are
    extrapolated to FineVision's 17.3 million images.

    --rehearse-images N draws N photographs, charts and pages in 20 subsets and 3 benchmarks, with edited copies among
    them, and runs everything on them: the time of each step, candidates per image by kind of image, copies found, and
    bytes stored. The cost of the work on images at FineVision's size is extrapolated from it.

    --gpu embeds JPEG files with models of the shapes of SSCD and CLIP and random weights, joins 1 and 17.3 million
    vectors, verifies pairs, and runs one process for each GPU; results are compared with those of the CPU. A part that
    failed or for which there was no time runs when the command is repeated. 17.3 million vectors need 18 GB of disk.

    --peers runs everything on VISDIV_SOURCE, a folder with a list of its planted copies (truth.json, as in
    data/sample), in a temporary data folder, and then every tool that is given with --peer: recall, precision, time and
    memory.

    If the process is killed, remove the folder visdiv-rehearsal-... that it leaves in the directory for temporary
    files.
    """
    if (peers or pythons) and (sizes or images or files or only or large or gpu or folder or form != "text"):
        raise click.UsageError("--peers can be combined with --peer and --json only")
    if pythons and not peers:
        raise click.UsageError("--peer requires --peers")
    if peers:
        _compare_with_peers(settings, pythons, json_file)
        return
    rehearses = bool(sizes or images)
    if (rehearses or files) and (only or large):
        raise click.UsageError("rehearsals cannot be combined with --only or --large")
    if folder and not (rehearses or gpu):
        raise click.UsageError("--folder requires --rehearse, --rehearse-images or --gpu")
    if gpu and (rehearses or files or only or large or form != "text"):
        raise click.UsageError("--gpu can be combined with --json, --folder, --small and --seconds only")
    if small and not gpu:
        raise click.UsageError("--small requires --gpu")
    if gpu:
        if json_file is None:
            raise click.UsageError("--gpu requires --json FILE, where it keeps its results")
        _check_gpu(json_file, folder, small, seconds)
        return
    if (rehearses or files) and form != "text":
        raise click.UsageError("rehearsals have no table: give --json FILE instead of --format")
    from visdiv_assets.perf import machine

    described = machine.describe()
    echo_note(form, described)
    if rehearses or files:
        _run_rehearsals(settings, described, sizes, images, files, folder, json_file)
        return
    from visdiv_assets.perf import suite

    figures = suite.run(settings, only or suite.PARTS, with_large=large)
    rows = [figure.row() for figure in figures]
    if form == "text":
        click.echo(suite.table(figures))
    else:
        from visdiv_assets.publishing.row_formats import Rows

        echo_tables(form, Rows("figures", list(rows[0]), [list(row.values()) for row in rows]))
    _write(json_file, {"machine": described, "figures": rows})


def _parse_peers(values: tuple[str, ...]) -> dict[str, Path]:
    from visdiv_assets.perf.peers.in_peer import TOOLS

    pythons = {}
    for value in values:
        tool, _, python = value.partition("=")
        if tool not in TOOLS or not python:
            raise click.BadParameter(f"{value!r} is not TOOL=PYTHON with one of {', '.join(TOOLS)}")
        pythons[tool] = Path(python)
    return pythons


def _compare_with_peers(settings: Settings, pythons: dict[str, Path], json_file: Path | None) -> None:
    from visdiv_assets.perf import machine
    from visdiv_assets.perf.peers.compare import compare, rows_of, table

    described = machine.describe()
    click.echo(described, err=True)
    with tempfile.TemporaryDirectory(prefix="visdiv-peers-") as folder:
        compared = compare(settings, pythons, Path(folder), say=lambda line: click.echo(line, err=True))
    click.echo(table(compared))
    _write(json_file, {"machine": described, "peers": rows_of(compared)})


def _check_gpu(json_file: Path, folder: Path | None, small: bool, seconds: int) -> None:
    from visdiv_assets.perf import machine
    from visdiv_assets.perf.gpu.check import check
    from visdiv_assets.perf.gpu.setup import FULL, SMALL, Setup, choose_device
    from visdiv_assets.perf.gpu.steps import steps_on
    from visdiv_assets.perf.suite import table

    click.echo(machine.describe(), err=True)
    device = choose_device()
    sizes = SMALL if small or device == "cpu" else FULL
    with tempfile.TemporaryDirectory(prefix="visdiv-gpu-") if folder is None else nullcontext(folder) as chosen:
        setup = Setup(device, sizes, Path(chosen))
        try:
            setup.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot create {folder}: {error.strerror or error}") from None
        outcome = check(steps_on(device), setup, json_file, seconds, say=lambda line: click.echo(line, err=True))
    click.echo(table(outcome.figures))
    if outcome.problems or outcome.left:
        left = [f"{name}: no time was left, run the command again" for name in outcome.left]
        raise IncompleteError(f"parts of the check are missing: {'; '.join([*outcome.problems, *left])}")


def _run_rehearsals(
    settings: Settings,
    described: str,
    sizes: tuple[int, ...],
    images: int | None,
    files: tuple[Path, ...],
    folder: Path | None,
    json_file: Path | None,
) -> None:
    from visdiv_assets.perf.rehearsal.rehearse import Rehearsal, read_rehearsal
    from visdiv_assets.perf.rehearsal.report import report

    found = sum((read_rehearsal(path) for path in files), Rehearsal())
    if images:
        found += Rehearsal(with_images=_rehearse_images(settings, images, folder))
        _write(json_file, {"machine": described, "rehearsal": found.row()})
    for size in sizes:
        found += _rehearse(settings, size, folder)
        # Each size takes long: keep the finished ones if a later one is interrupted.
        _write(json_file, {"machine": described, "rehearsal": found.row()})
    click.echo(report(found))
    if missing := found.missing():
        raise IncompleteError(f"planted pairs are missing: {'; '.join(missing)}")


def _rehearse(settings: Settings, size: int, folder: Path | None) -> Rehearsal:
    from visdiv_assets.perf.disk_room import BENCHMARK_BYTES, BYTES_PER_VECTOR, require_room
    from visdiv_assets.perf.rehearsal.dagster_runs import materialize
    from visdiv_assets.perf.rehearsal.plan import finevision_plan
    from visdiv_assets.perf.rehearsal.rehearse import rehearse
    from visdiv_assets.perf.rehearsal.shape import Shape
    from visdiv_assets.perf.vectors import real_vectors
    from visdiv_assets.wiring import open_source

    needed = size * BYTES_PER_VECTOR + BENCHMARK_BYTES
    require_room(folder or Path(tempfile.gettempdir()), size, needed, settings.disk_reserve_gigabytes)
    shape = Shape.of(real_vectors(open_source(settings)))
    with _rehearsal_folder(folder, str(size)) as lake_folder:
        return rehearse(
            finevision_plan(size), shape, lake_folder, materialize, say=lambda line: click.echo(line, err=True)
        )


@contextmanager
def _rehearsal_folder(folder: Path | None, name: str) -> Iterator[Path]:
    """Make an empty folder for a rehearsal: in the given folder, where it is kept, or a temporary one."""
    if folder is None:
        with tempfile.TemporaryDirectory(prefix="visdiv-rehearsal-") as temporary:
            yield Path(temporary)
        return
    path = folder / name
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        raise ConfigError(f"{path} exists already: remove it, or name another --folder") from None
    except OSError as error:
        raise ConfigError(f"cannot create {path}: {error.strerror or error}") from None
    yield path


def _rehearse_images(settings: Settings, images: int, folder: Path | None) -> ImageRehearsal:
    from visdiv_assets.perf.disk_room import BYTES_PER_IMAGE, require_room
    from visdiv_assets.perf.images.rehearse import rehearse_images

    needed = images * BYTES_PER_IMAGE
    require_room(folder or Path(tempfile.gettempdir()), images, needed, settings.disk_reserve_gigabytes)
    with _rehearsal_folder(folder, f"{images}_images") as made:
        return rehearse_images(images, made, say=lambda line: click.echo(line, err=True))


def _write(path: Path | None, content: dict[str, Any]) -> None:
    from visdiv_assets.storage.files import replace_local

    if path:
        with replace_local(path) as stream:
            stream.write(json.dumps(content, indent=1).encode())
