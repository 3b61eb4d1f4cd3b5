"""Links of the file system in a source: they may lead to other files of the source, and not out of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from visdiv_assets import sources
from visdiv_assets.errors import SourceError
from visdiv_assets.sources import Kind, Source
from visdiv_assets.sources.reading import Reading
from visdiv_assets_tests.conftest import image, one_each, write_shard


def images_in(folder: Path) -> None:
    folder.mkdir(parents=True)
    for seed in (1, 2):
        (folder / f"{seed}.png").write_bytes(image(seed))


def parquet_in(folder: Path) -> None:
    write_shard(folder.parents[1], folder.name, one_each([1]), 0)
    write_shard(folder.parents[1], folder.name, one_each([2]), 1)


def saved_in(folder: Path) -> None:
    from datasets import Dataset

    table = pq.read_table(write_shard(folder.parents[1] / "unsaved", "made", one_each([1])))
    shutil.rmtree(folder.parents[1] / "unsaved")
    Dataset(table).save_to_disk(folder)


#: Fills the folder of a subset, and the end of the names of its files.
FORMS: dict[str, tuple[Callable[[Path], None], str]] = {
    "images": (images_in, "*.png"),
    "parquet": (parquet_in, "*.parquet"),
    "saved": (saved_in, "*.arrow"),
}


def read(source: Source) -> int:
    """Return the number of rows of the subset `some`."""
    return sum(shard.rows for shard in source.shards(Kind.SUBSET, "some"))


@pytest.fixture(params=FORMS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    """A folder of a subset outside of a source that has another one, and one of its files."""
    fill, pattern = FORMS[request.param]
    fill(tmp_path / "outside" / "subsets" / "some")
    fill(tmp_path / "source" / "subsets" / "some")
    return next((tmp_path / "outside" / "subsets" / "some").glob(pattern)), tmp_path / "source"


@pytest.mark.parametrize("linked", ["file", "folder"])
def test_a_link_out_of_the_source_is_refused_unless_it_is_allowed(made: tuple[Path, Path], linked: str) -> None:
    file, source = made
    subset = source / "subsets" / "some"
    rows = read(sources.open(source))
    if linked == "file":
        (subset / file.name).unlink()
        (subset / file.name).symlink_to(file)
    else:
        subset.rename(source / "subsets" / "real")
        subset.symlink_to(file.parent, target_is_directory=True)
    line = rf"leads to {file.parent}/\S+, outside the source: copy the file there, or set VISDIV_OUTSIDE_FILES=true"
    with pytest.raises(SourceError, match=line):
        read(sources.open(source))
    assert read(sources.open(source, reading=Reading(outside_files=True))) == rows


def test_a_link_within_the_source_is_followed(made: tuple[Path, Path]) -> None:
    file, source = made
    rows = read(sources.open(source))
    subset = source / "subsets" / "some"
    (source / "files").mkdir()
    (subset / file.name).rename(source / "files" / file.name)
    (subset / file.name).symlink_to(Path("..", "..", "files", file.name))
    (source.parent / "alias").symlink_to(source, target_is_directory=True)
    assert read(sources.open(source)) == read(sources.open(source.parent / "alias")) == rows


def test_the_links_of_a_download_of_the_hub_are_followed(made: tuple[Path, Path]) -> None:
    file, source = made
    cache = source.parent / "datasets--owner--name"
    snapshot = cache / "snapshots" / ("0" * 40)
    snapshot.parent.mkdir(parents=True)
    rows = read(sources.open(source))
    source.rename(snapshot)
    (cache / "blobs").mkdir()
    blob = cache / "blobs" / "digest"
    linked = snapshot / "subsets" / "some" / file.name
    linked.rename(blob)
    linked.symlink_to(blob)
    assert read(sources.open(snapshot)) == rows
    linked.unlink()
    linked.symlink_to(file)
    with pytest.raises(SourceError, match="outside the source"):
        read(sources.open(snapshot))
