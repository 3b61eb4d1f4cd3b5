"""The packaged catalog of FineVision's 185 subsets and of benchmarks, in two CSV files of this package.

`finevision_subsets.csv` has the columns subset, category, images, samples and turns, as published; the actual numbers
may differ. `benchmarks.csv` names test sets on the Hugging Face Hub: the 66 that FineVision was checked against (list
`finevision66`), and further suggestions (`extra_suggested`).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from visdiv_assets.errors import SourceError

#: The list in the packaged catalog with the benchmarks that FineVision was checked against.
FINEVISION_LIST = "finevision66"

#: Columns of a catalog of benchmarks. All are required; only those of `_FILLED` need a value in every line.
BENCHMARK_COLUMNS = (
    "list",
    "hub_id",
    "alias",
    "config",
    "split",
    "image_column",
    "finevision_eval_task",
    "published_embedding_file",
    "note",
)
_FILLED = ("list", "hub_id", "split")


@dataclass(frozen=True)
class Benchmark:
    """A split of a test set on the Hub.

    Attributes:
        name: dataset, config and split, as in "lmms-lab-DocVQA_InfographicVQA_test"; also its name in the files that
            FineVision's authors published.
        list: the list that names it.
        hub_id: the dataset's name on the Hub when the list was made.
        alias: the name that the dataset has moved to since.
        config: the dataset's config; None is the only or default one.
        split: the split.
        image_column: a description of the column with its images.
        evaluation: the benchmark among FineVision's 11 evaluations that it belongs to.
        published_embedding_file: the file with its SSCD vectors in HuggingFaceM4/lmms-eval-embeddings.
        note: a remark.
    """

    name: str
    list: str
    hub_id: str
    alias: str | None
    config: str | None
    split: str
    image_column: str | None
    evaluation: str | None
    published_embedding_file: str | None
    note: str | None


def benchmarks(path: str | Path | None = None) -> list[Benchmark]:
    """Return the benchmarks of a catalog, in its order.

    Args:
        path: a CSV file with the columns `BENCHMARK_COLUMNS`, in UTF-8; None is the packaged catalog.

    Raises:
        SourceError: the file cannot be read, lacks a column, is empty, names a benchmark twice, or has an incomplete
            line.
    """
    file = resources.files("visdiv_assets.sources").joinpath("benchmarks.csv") if path is None else Path(path)
    found: dict[str, Benchmark] = {}
    for line, cells in _benchmark_lines(file):
        given = {column: cell or None for column, cell in cells.items()}
        dataset, config, split = cells["hub_id"], given["config"], cells["split"]
        name = "_".join(part for part in (dataset.replace("/", "-"), config, split) if part)
        if name in found:
            raise SourceError(f"{file}, line {line}: {name} appears a second time: remove one of the lines")
        found[name] = Benchmark(
            name=name,
            list=cells["list"],
            hub_id=dataset,
            alias=given["alias"],
            config=config,
            split=split,
            image_column=given["image_column"],
            evaluation=given["finevision_eval_task"],
            published_embedding_file=given["published_embedding_file"],
            note=given["note"],
        )
    return list(found.values())


def benchmarks_on(lists: str, path: str | Path | None = None) -> list[Benchmark]:
    """Return the benchmarks on some lists of a catalog, in its order.

    Args:
        lists: names of lists, separated by commas; empty: all lists; "none": no list.
        path: see `benchmarks`.

    Raises:
        SourceError: see `benchmarks`; also if there is no such list.
    """
    if lists.strip() == "none":
        return []
    found = benchmarks(path)
    wanted = [name.strip() for name in lists.split(",") if name.strip()]
    known = list(dict.fromkeys(benchmark.list for benchmark in found))
    if unknown := [name for name in wanted if name not in known]:
        raise SourceError(
            f"VISDIV_BENCHMARK_LIST: there is no list {unknown[0]!r} in the catalog: use {', '.join(known)}, or none"
        )
    return [benchmark for benchmark in found if not wanted or benchmark.list in wanted]


@dataclass(frozen=True)
class PublishedSubset:
    """The numbers of images, rows and turns that FineVision's authors published for a subset."""

    images: int
    samples: int
    turns: int


#: Where FineVision is published.
FINEVISION = "hf://datasets/HuggingFaceM4/FineVision"


def is_finevision(source: str) -> bool:
    """Return whether a source is FineVision or a copy of it: the last part of its location has that name in it.

    Other datasets have subsets of the same names, such as "art", with other images.

    Args:
        source: location of the source: a folder, or a URI with or without a revision.
    """
    return "finevision" in source.rstrip("/").rpartition("/")[2].lower()


def published(subset: str, source: str) -> PublishedSubset | None:
    """Return the published numbers of a subset; None if FineVision has no such subset, or the source is another."""
    row = _finevision().get(subset) if is_finevision(source) else None
    return PublishedSubset(int(row["images"]), int(row["samples"]), int(row["turns"])) if row else None


def finevision_categories() -> dict[str, str]:
    """Return the category of each of FineVision's subsets, by name."""
    return {subset: row["category"] for subset, row in _finevision().items()}


def category(subset: str, source: str) -> str | None:
    """Return the category of a subset, one of FineVision's nine; None as for `published`."""
    row = _finevision().get(subset) if is_finevision(source) else None
    return row["category"] if row else None


@cache
def _finevision() -> dict[str, dict[str, str]]:
    """Return the lines of the list of subsets, by subset."""
    table = resources.files("visdiv_assets.sources").joinpath("finevision_subsets.csv")
    lines = table.read_text(encoding="utf-8").splitlines()
    return {row["subset"]: row for row in csv.DictReader(lines)}


def _benchmark_lines(file: Traversable | Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the line number and the stripped cells by column of each line that is not empty."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SourceError(f"{file} cannot be read ({error.strerror}): check that it exists and is a file") from None
    except UnicodeDecodeError:
        raise SourceError(f"{file} is not in UTF-8: save it as CSV in UTF-8") from None
    reader = csv.DictReader(io.StringIO(text, newline=""))
    columns = reader.fieldnames or []
    if missing := [column for column in BENCHMARK_COLUMNS if column not in columns]:
        raise SourceError(
            f"{file} lacks the columns {', '.join(missing)}; columns found: {', '.join(columns) or 'none'}; "
            f"add them, even without values"
        )
    empty = True
    for row in reader:
        line = f"{file}, line {reader.line_num},"
        if None in row or None in row.values():
            raise SourceError(f"{line} does not have as many cells as the first line: quote text that contains commas")
        cells = {column: row[column].strip() for column in BENCHMARK_COLUMNS}
        if not any(cells.values()):
            continue
        if lacking := [column for column in _FILLED if not cells[column]]:
            raise SourceError(f"{line} has no {' and no '.join(lacking)}: add the value")
        empty = False
        yield reader.line_num, cells
    if empty:
        raise SourceError(f"{file} names no benchmark: add one line per benchmark")
