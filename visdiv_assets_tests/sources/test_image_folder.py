from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest

from visdiv_assets.errors import VisdivError
from visdiv_assets.sources import COLUMNS, SCHEMA, ImageFolderSource, Kind, image_folder
from visdiv_assets.sources import open as open_source
from visdiv_assets.sources.reading import Reading
from visdiv_assets_tests.sources.conftest import Rows


def put(folder: Path, *names: str) -> None:
    """Write files whose content is their name."""
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())


def read(source: ImageFolderSource, name: str, columns: tuple[str, ...] = COLUMNS, batch_rows: int = 64) -> Rows:
    return [
        row
        for shard in source.shards(Kind.SUBSET, name)
        for batch in source.batches(Kind.SUBSET, name, shard, columns=columns, batch_rows=batch_rows)
        for row in batch.to_pylist()
    ]


def paths(source: ImageFolderSource, name: str) -> list[str]:
    return [row["images"][0]["path"] for row in read(source, name)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "album"
    path.mkdir()
    return path


def test_each_subfolder_with_images_is_a_subset(folder: Path) -> None:
    put(folder, "cats/a.jpg", "dogs (old)/2020/b.PNG", "notes/readme.txt", ".thumbs/c.jpg", "cats/._a.jpg")
    (folder / "empty").mkdir()
    source = ImageFolderSource(folder)
    assert source.subsets() == ["cats", "dogs (old)"]
    assert source.benchmarks() == []
    assert paths(source, "cats") == ["a.jpg"]
    assert paths(source, "dogs (old)") == ["2020/b.PNG"]


def test_folders_in_benchmarks_are_benchmarks(folder: Path) -> None:
    put(folder, "cats/a.jpg", "benchmarks/exam/x.png", "benchmarks/exam/more/y.png", "benchmarks/exam/x.txt")
    source = ImageFolderSource(folder)
    assert (source.subsets(), source.benchmarks()) == (["cats"], ["exam"])
    (shard,) = source.shards(Kind.BENCHMARK, "exam")
    batches = list(source.batches(Kind.BENCHMARK, "exam", shard, columns=["images"]))
    assert [row["images"][0]["path"] for batch in batches for row in batch.to_pylist()] == ["more/y.png", "x.png"]
    assert source.fetch(Kind.BENCHMARK, "exam", [(1, 0)]) == [b"benchmarks/exam/x.png"]
    put(folder, "benchmarks/loose.png")
    assert source.benchmarks() == ["exam"]
    assert list(map(str, source.left_out())) == ["benchmarks/exam/x.txt", "benchmarks/loose.png"]


def test_a_subset_and_a_benchmark_of_one_name_are_two(folder: Path) -> None:
    put(folder, "cats/a.jpg", "benchmarks/cats/b.jpg", "benchmarks/cats/c.jpg")
    source = ImageFolderSource(folder)
    assert source.fetch(Kind.SUBSET, "cats", [(0, 0)]) == [b"cats/a.jpg"]
    assert source.fetch(Kind.BENCHMARK, "cats", [(1, 0)]) == [b"benchmarks/cats/c.jpg"]


def test_a_folder_benchmarks_with_loose_images_is_a_subset(folder: Path) -> None:
    put(folder, "benchmarks/a.jpg")
    source = ImageFolderSource(folder)
    assert (source.subsets(), source.benchmarks()) == (["benchmarks"], [])


def test_subsets_may_lie_in_a_folder_subsets(folder: Path) -> None:
    put(folder, "subsets/cats/a.jpg", "benchmarks/exam/x.png", "elsewhere/b.jpg")
    source = open_source(folder)
    assert isinstance(source, ImageFolderSource)
    assert (source.subsets(), source.benchmarks()) == (["cats"], ["exam"])
    assert paths(source, "cats") == ["a.jpg"]
    put(folder, "loose.jpg")
    assert source.subsets() == ["cats"]
    assert list(map(str, source.left_out())) == ["elsewhere/b.jpg", "loose.jpg"]


def test_loose_images_are_a_subset_named_after_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder, "b.jpg", "a.png", "deep/er/readme.txt")
    monkeypatch.chdir(folder)
    for given in (folder, f"{folder}/", ".", "deep/..", "./"):
        source = ImageFolderSource(given)
        assert source.subsets() == ["album"]
        assert paths(source, "album") == ["a.png", "b.jpg"]


def test_loose_images_beside_subfolders_are_one_subset_more(folder: Path) -> None:
    put(folder, "x.gif", "zebras/a.jpg", "ants/a.jpg", "ants/more/b.jpg")
    source = ImageFolderSource(folder)
    assert source.subsets() == ["album", "ants", "zebras"]
    assert paths(source, "album") == ["x.gif"]
    assert paths(source, "ants") == ["a.jpg", "more/b.jpg"]


def test_loose_images_and_a_subfolder_of_the_same_name_clash(folder: Path) -> None:
    put(folder, "album/a.jpg")
    assert paths(ImageFolderSource(folder), "album") == ["a.jpg"]
    put(folder, "b.jpg")
    with pytest.raises(VisdivError, match="subfolder 'album' of the same name: rename"):
        ImageFolderSource(folder).subsets()


def test_all_endings_count_in_any_case_and_paths_are_sorted(folder: Path) -> None:
    endings = ["jpg", "JPEG", "png", "gif", "webp", "bmp", "tif", "TIFF", "avif", "ppm"]
    put(folder, *(f"s/{9 - number}.{ending}" for number, ending in enumerate(endings)), "s/x.txt", "s/jpg")
    put(folder, "s/3/a.jpg")
    found = paths(ImageFolderSource(folder), "s")
    assert len(found) == 11
    assert found == sorted(found)


def test_a_row_is_an_image_and_nothing_else_is_known(folder: Path) -> None:
    put(folder, "s/a.jpg")
    source = ImageFolderSource(folder)
    (shard,) = source.shards(Kind.SUBSET, "s")
    (batch,) = source.batches(Kind.SUBSET, "s", shard, columns=COLUMNS)
    assert batch.schema == SCHEMA
    (row,) = batch.to_pylist()
    assert row.pop("images") == [{"bytes": b"s/a.jpg", "path": "a.jpg"}]
    assert set(row.values()) == {None}


def test_shards_are_chunks_of_the_sorted_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_folder, "SHARD_FILES", 4)
    names = [f"{number:02d}.png" for number in range(10)]
    put(folder, *(f"s/{name}" for name in names))
    source = ImageFolderSource(folder)
    shards = source.shards(Kind.SUBSET, "s")
    assert [shard.name for shard in shards] == [f"images-0000{number}-of-00003" for number in range(3)]
    assert [shard.rows for shard in shards] == [4, 4, 2]
    assert sum(shard.size_bytes for shard in shards) == source.size_bytes(Kind.SUBSET, "s") == 80
    assert paths(source, "s") == names
    asked = [(9, 0), (0, 0), (4, 0), (9, 0)]
    assert source.fetch(Kind.SUBSET, "s", asked) == [f"s/{names[row]}".encode() for row, _ in asked]
    assert ImageFolderSource(folder).fetch(Kind.SUBSET, "s", [(5, 0)]) == [b"s/05.png"]


@pytest.mark.parametrize("columns", [("images",), ("texts", "source")])
def test_batches_are_no_larger_than_asked(folder: Path, columns: tuple[str, ...]) -> None:
    put(folder, *(f"s/{number:02d}.png" for number in range(10)))
    source = ImageFolderSource(folder)
    (shard,) = source.shards(Kind.SUBSET, "s")
    batches = list(source.batches(Kind.SUBSET, "s", shard, columns=columns, batch_rows=4))
    assert [batch.num_rows for batch in batches] == [4, 4, 2]
    assert all(batch.schema.names == list(columns) for batch in batches)


def test_large_images_end_a_batch_early(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_folder, "BATCH_BYTES", 20)
    put(folder, "s/a.png", "s/b.png", "s/c.png", "s/d_is_larger_than_the_limit_by_far.png", "s/e.png")
    source = ImageFolderSource(folder)
    (shard,) = source.shards(Kind.SUBSET, "s")
    batches: list[pa.RecordBatch] = list(source.batches(Kind.SUBSET, "s", shard, columns=["images"]))
    assert [batch.num_rows for batch in batches] == [2, 1, 1, 1]


def test_no_image_is_opened_when_none_is_asked_for(folder: Path) -> None:
    put(folder, "s/a.png", "s/b.png")
    source = ImageFolderSource(folder)
    (shard,) = source.shards(Kind.SUBSET, "s")
    (folder / "s" / "a.png").unlink()
    (batch,) = source.batches(Kind.SUBSET, "s", shard, columns=["texts"])
    assert batch.to_pylist() == [{"texts": None}] * 2


def test_only_the_fingerprint_depends_on_times_of_change(folder: Path) -> None:
    put(folder, "s/a.png", "s/b.png")
    source = ImageFolderSource(folder)
    file = folder / "s" / "a.png"

    def state() -> tuple[str, str]:
        ((shard, digest),) = source.digests(Kind.SUBSET, "s", {})
        assert source.digests(Kind.SUBSET, "s", {shard.fingerprint: "known"}) == [(shard, "known")]
        return digest, shard.fingerprint

    first = state()
    os.utime(file, ns=(1, 1))
    touched = state()
    assert touched[0] == first[0]
    assert touched[1] != first[1]
    file.write_bytes(b"s/a.pnG")
    assert state()[0] != first[0]
    file.write_bytes(b"s/a.png")
    assert state()[0] == first[0]
    file.rename(folder / "s" / "a2.png")
    assert state()[0] != first[0]


def test_an_image_that_vanished_is_named(folder: Path) -> None:
    put(folder, "s/a.png", "s/b.png")
    source = ImageFolderSource(folder)
    (shard,) = source.shards(Kind.SUBSET, "s")
    (folder / "s" / "b.png").unlink()
    with pytest.raises(VisdivError, match=r"b\.png cannot be read \(No such file"):
        list(source.batches(Kind.SUBSET, "s", shard, columns=["images"]))
    with pytest.raises(VisdivError, match=r"b\.png cannot be read"):
        source.fetch(Kind.SUBSET, "s", [(0, 0), (1, 0)])


def test_an_image_that_may_not_be_read_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder, "s/a.png")
    source = ImageFolderSource(folder)

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(VisdivError, match=r"a\.png cannot be read \(Permission denied\)"):
        read(source, "s")


def test_an_image_that_changed_since_it_was_listed_is_named(folder: Path) -> None:
    put(folder, "s/a.png", "s/b.png")
    source = ImageFolderSource(folder)
    (shard,) = source.shards(Kind.SUBSET, "s")
    (folder / "s" / "b.png").write_bytes(b"something else")
    with pytest.raises(VisdivError, match=r"b\.png has changed since it was listed"):
        list(source.batches(Kind.SUBSET, "s", shard, columns=["images"]))


def test_a_shard_of_an_older_list_is_refused_after_a_change(folder: Path) -> None:
    put(folder, "s/b.png")
    source = ImageFolderSource(folder)
    (shard,) = source.shards(Kind.SUBSET, "s")
    put(folder, "s/a.png")
    assert list(source.batches(Kind.SUBSET, "s", shard, columns=["images"]))
    source.shards(Kind.SUBSET, "s")
    with pytest.raises(VisdivError, match=r"images-00000-of-00001 of 's' in .* has changed"):
        source.batches(Kind.SUBSET, "s", shard, columns=["images"])


@pytest.mark.parametrize("position", [(2, 0), (-1, 0), (0, 1), (0, -1)])
def test_fetch_refuses_positions_that_do_not_exist(folder: Path, position: tuple[int, int]) -> None:
    put(folder, "s/a.png", "s/b.png")
    with pytest.raises(VisdivError, match=r"has no (row|image)"):
        ImageFolderSource(folder).fetch(Kind.SUBSET, "s", [(0, 0), position])


def test_unknown_names_are_refused(folder: Path) -> None:
    put(folder, "cats/a.png")
    source = ImageFolderSource(folder)
    with pytest.raises(VisdivError, match="no 'cat' among its subsets: did you mean 'cats'"):
        source.shards(Kind.SUBSET, "cat")
    with pytest.raises(VisdivError, match="no 'cats' among its benchmarks"):
        source.fetch(Kind.BENCHMARK, "cats", [])


def test_links_to_folders_and_files_are_followed(folder: Path, tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", "a.png")
    (folder / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    source = open_source(folder, reading=Reading(outside_files=True))
    assert source.subsets() == ["linked"]
    assert source.fetch(Kind.SUBSET, "linked", [(0, 0)]) == [b"a.png"]
