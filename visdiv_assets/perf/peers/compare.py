"""Find the copies of a corpus with this product and with other tools, and compare what they find and cost."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from visdiv_assets.perf.peers import in_peer
from visdiv_assets.perf.peers.images import Position, write_images
from visdiv_assets.perf.peers.measured_process import Ended, run
from visdiv_assets.perf.peers.truth import Pair, Score, Truth, read_truth, score
from visdiv_assets.settings import Settings
from visdiv_assets.wiring import open_source

#: The methods of each tool that are compared; the first is the default of the tool.
METHODS: Mapping[str, Sequence[str]] = {
    "immaculate": ("pdq", "sscd_distilled", "sscd"),
    "imagededup": ("PHash", "CNN"),
    "fastdup": ("similarity",),
}
#: Cosine similarities of FineVision's authors, of their toolkit, and of the paper on SSCD.
THRESHOLDS = (0.95, 0.90, 0.75)
#: The most seconds that a method may take.
LIMIT = 3600.0
#: File of the pairs that a method claims.
PAIRS = "pairs.json"
HEADERS = ("tool", "recall", "found", "precision", "pairs", "seconds", "peak MB", "remark")


@dataclass(frozen=True)
class Compared:
    """What a method found, and what it took.

    Attributes:
        tool: name of the tool and the method.
        planted: number of planted copies.
        found: number of planted copies that it claimed together with their originals.
        recall: found / planted.
        pairs: number of pairs that it claimed.
        precision: share of these pairs that show copies of one original; None without pairs.
        seconds: wall-clock time from the start of the process to its end.
        peak_mb: peak memory of its processes in MB (10^6 bytes).
        remark: why there are no results; else empty.
        wrong: the pairs that are not planted.
    """

    tool: str
    planted: int = 0
    found: int = 0
    recall: float | None = None
    pairs: int = 0
    precision: float | None = None
    seconds: float | None = None
    peak_mb: float | None = None
    remark: str = ""
    wrong: tuple[Pair, ...] = ()


class Method(NamedTuple):
    """A way to find copies.

    Attributes:
        tool: its name in the table.
        command: arguments of the process that finds them.
        read: returns the pairs that it wrote.
    """

    tool: str
    command: list[str]
    read: Callable[[], Iterable[Pair]]


def compare(
    settings: Settings, pythons: Mapping[str, Path], folder: Path, *, say: Callable[[str], None]
) -> list[Compared]:
    """Run every method in a process of its own, one after another.

    Args:
        settings: settings whose source is a folder with a `truth.json`, see `truth.read_truth`.
        pythons: the Python in which each of the other tools is installed, by the name of the tool.
        folder: an empty folder for the images and the results of the run.
        say: is told of each method.

    Raises:
        ConfigError: the source has no list of planted copies.
    """
    source = open_source(settings)
    truth = read_truth(Path(settings.source) / "truth.json", source.benchmarks())
    images = folder / "images"
    images.mkdir()
    positions = write_images(source, images)
    found = []
    for method in [_ours(settings, folder), *_by_similarity(folder, positions), *_peers(pythons, folder, positions)]:
        say(f"{method.tool} ...")
        # Not those of the method before, if this one writes none.
        (folder / PAIRS).unlink(missing_ok=True)
        found.append(_measure(method, truth))
    left = [Compared(tool, remark=f"not run: give --peer {tool}=PYTHON") for tool in METHODS if tool not in pythons]
    return [*found, *left]


def _measure(method: Method, truth: Truth) -> Compared:
    ended: Ended = run(method.command, LIMIT)
    if ended.problem is not None:
        return Compared(method.tool, seconds=ended.seconds, peak_mb=ended.peak_mb, remark=f"failed: {ended.problem}")
    try:
        result: Score = score(method.read(), truth)
    except FileNotFoundError:
        return Compared(method.tool, seconds=ended.seconds, peak_mb=ended.peak_mb, remark="failed: it wrote no pairs")
    return Compared(
        method.tool,
        result.planted,
        result.found,
        result.recall,
        result.right + len(result.wrong),
        result.precision,
        ended.seconds,
        ended.peak_mb,
        wrong=tuple(result.wrong),
    )


def _ours(settings: Settings, folder: Path) -> Method:
    data = folder / "data"
    command = [*_python("visdiv_assets"), "run", "--all", "--source", settings.source, "--data", str(data)]
    return Method("visdiv run --all", command, lambda: read_confirmed(data / "visdiv.duckdb"))


def read_confirmed(database: Path) -> list[Pair]:
    """Return the confirmed pairs of a DuckDB file, within subsets, across them, and with benchmarks."""
    import duckdb

    with duckdb.connect(str(database), read_only=True) as connection:
        rows = connection.execute(
            """SELECT subset_a, row_a, image_index_a, subset_b, row_b, image_index_b FROM duplicates
            UNION ALL
            SELECT subset, row, image_index, benchmark, benchmark_row, benchmark_image_index FROM contamination_pairs
            WHERE verdict = 'confirmed'"""
        ).fetchall()
    return [(Position(*row[:3]), Position(*row[3:])) for row in rows]


def _by_similarity(folder: Path, positions: Mapping[str, Position]) -> list[Method]:
    return [
        _writes_files(
            f"SSCD vectors of visdiv, cosine of {threshold:.2f} or more",
            [*_python("visdiv_assets.perf.peers.by_similarity"), str(threshold)],
            folder,
            positions,
        )
        for threshold in THRESHOLDS
    ]


def _peers(pythons: Mapping[str, Path], folder: Path, positions: Mapping[str, Position]) -> list[Method]:
    return [
        _writes_files(f"{tool} ({method})", [str(pythons[tool]), in_peer.__file__, tool, method], folder, positions)
        for tool in METHODS
        if tool in pythons
        for method in METHODS[tool]
    ]


def _writes_files(tool: str, command: list[str], folder: Path, positions: Mapping[str, Position]) -> Method:
    out = folder / PAIRS
    return Method(tool, [*command, str(folder / "images"), str(out)], lambda: read_pairs(out, positions))


def read_pairs(file: Path, positions: Mapping[str, Position]) -> list[Pair]:
    """Return the pairs of files in a JSON file as pairs of positions."""
    return [(positions[one], positions[other]) for one, other in json.loads(file.read_bytes())]


def _python(module: str) -> list[str]:
    return [sys.executable, "-m", module]


def rows_of(compared: Sequence[Compared]) -> list[dict[str, Any]]:
    """Return the results as rows of the JSON file."""
    return [asdict(each) for each in compared]


def table(compared: Sequence[Compared]) -> str:
    """Format the results as a table of text."""
    from tabulate import tabulate

    rows = [
        (
            each.tool,
            _format(each.recall, 3),
            f"{each.found} of {each.planted}" if each.planted else "",
            _format(each.precision, 3),
            each.pairs if each.planted else "",
            _format(each.seconds, 1),
            _format(each.peak_mb, 0),
            each.remark,
        )
        for each in compared
    ]
    return tabulate(rows, headers=HEADERS, tablefmt="github", disable_numparse=True)


def _format(value: float | None, places: int) -> str:
    return "" if value is None else f"{value:,.{places}f}"
