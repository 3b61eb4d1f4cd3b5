"""Images that rows name by path instead of holding their bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from visdiv_assets.sources import Kind
from visdiv_assets.sources import open as open_source
from visdiv_assets.sources.batching import BATCH_BYTES
from visdiv_assets.sources.conform import IMAGE
from visdiv_assets.sources.reading import Reading
from visdiv_assets_tests.sources.conftest import Corpus


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def read(corpus: Corpus, *, outside: bool = False) -> list[list[bytes | None]]:
    """The bytes of each row's images by `batches`; `fetch` must find the same."""
    source = open_source(corpus.root, reading=Reading(outside_files=outside))
    (shard,) = source.shards(Kind.SUBSET, "some")
    rows: list[dict[str, Any]] = []
    for batch in source.batches(Kind.SUBSET, "some", shard, columns=["images"]):
        assert batch.num_rows == 1 or batch.nbytes < 3 * BATCH_BYTES
        rows += batch.to_pylist()
    found = [[image["bytes"] for image in row["images"]] for row in rows]
    positions = [(row, index) for row, images in enumerate(found) for index in range(len(images))]
    assert source.fetch(Kind.SUBSET, "some", positions) == [found[row][index] for row, index in positions]
    return found


def by_path(*paths: str | None) -> pa.Array:
    return pa.array([{"bytes": None, "path": path} for path in paths], IMAGE)


@pytest.mark.parametrize(
    "folder", ["subsets/some/images", "subsets/some/deep/images", "images"], ids=["subset", "file", "source"]
)
@pytest.mark.parametrize("form", ["struct", "path only", "list", "string", "list of strings"])
def test_a_relative_path_is_found_near_the_file(corpus: Corpus, folder: str, form: str) -> None:
    put(corpus.root / folder / "1", b"one")
    put(corpus.root / folder / "2.jpg", b"two")
    paths = ["images/1", "images/2.jpg", "images/3.jpg"]
    column = {
        "struct": by_path(*paths),
        "path only": pa.array([{"path": path} for path in paths]),
        "list": pa.array([[{"bytes": None, "path": path}] for path in paths], pa.list_(IMAGE)),
        "string": pa.array(paths),
        "list of strings": pa.array([[path] for path in paths]),
    }[form]
    corpus.write(pa.table({"image": column}), file="deep/train-0.parquet")
    assert read(corpus) == [[b"one"], [b"two"], [None]]


def test_an_absolute_path_in_the_source_is_found(corpus: Corpus) -> None:
    put(corpus.root / "a.png", b"a")
    corpus.write(pa.table({"image": by_path(str(corpus.root / "a.png"), f"file://{corpus.root}/a.png")}))
    assert read(corpus) == [[b"a"], [b"a"]]


def test_bytes_come_before_the_file_of_the_path(corpus: Corpus) -> None:
    put(corpus.root / "a.png", b"file")
    column = pa.array([{"bytes": b"row", "path": "a.png"}, {"bytes": None, "path": "a.png"}], IMAGE)
    corpus.write(pa.table({"image": column}))
    assert read(corpus) == [[b"row"], [b"file"]]


def test_files_outside_the_source_are_read_only_if_allowed(corpus: Corpus, tmp_path: Path) -> None:
    put(tmp_path / "secret.png", b"secret")
    (corpus.root / "link.png").symlink_to(tmp_path / "secret.png")
    (corpus.root / "folder").symlink_to(tmp_path, target_is_directory=True)
    paths = [str(tmp_path / "secret.png"), "../../../secret.png", "link.png", "folder/secret.png"]
    corpus.write(pa.table({"image": by_path(*paths)}))
    assert read(corpus) == [[None]] * 4
    assert read(corpus, outside=True) == [[b"secret"]] * 4


@pytest.mark.parametrize("path", ["", ".", "subsets", "a\0b", "x" * 5000, "https://example.org/a.png", "missing.png"])
def test_a_path_to_no_file_leaves_the_image_without_bytes(corpus: Corpus, path: str) -> None:
    corpus.write(pa.table({"image": by_path(path)}))
    assert read(corpus) == [[None]]


def test_rows_with_large_files_come_in_small_batches(corpus: Corpus) -> None:
    put(corpus.root / "large", bytes(BATCH_BYTES))
    corpus.write(pa.table({"image": by_path(*["large"] * 5, None)}))
    assert [len(row[0] or b"") for row in read(corpus)] == [BATCH_BYTES] * 5 + [0]


def test_a_column_of_paths_is_found_by_its_files(corpus: Corpus) -> None:
    put(corpus.root / "subsets" / "some" / "p" / "1.jpg", b"one")
    corpus.write(pa.table({"id": ["x"], "file_name": ["p/1.jpg"], "caption": ["a cat"]}))
    assert corpus.open().columns_taken(Kind.SUBSET, "some").images == ("file_name",)
    assert read(corpus) == [[b"one"]]


@pytest.mark.parametrize("form", ["struct", "string"])
def test_the_digest_changes_with_the_files_that_rows_name(corpus: Corpus, form: str) -> None:
    put(corpus.root / "a.png", b"a")
    corpus.write(pa.table({"image": by_path("a.png") if form == "struct" else pa.array(["a.png"])}))

    def digest(known: dict[str, str]) -> tuple[str, str]:
        ((shard, found),) = corpus.open().digests(Kind.SUBSET, "some", known)
        return shard.fingerprint, found

    fingerprint, first = digest({})
    assert digest({fingerprint: first}) == (fingerprint, first)
    put(corpus.root / "a.png", b"another")
    assert digest({fingerprint: first})[1] != first


def test_images_that_rows_name_are_not_left_out(corpus: Corpus) -> None:
    put(corpus.root / "a.png", b"a")
    put(corpus.root / "notes.csv", b"a")
    corpus.write(pa.table({"image": by_path("a.png")}))
    assert list(map(str, corpus.open().left_out())) == ["notes.csv"]
    corpus.write(pa.table({"image": pa.array([{"bytes": b"a", "path": "a.png"}], IMAGE)}))
    assert list(map(str, corpus.open().left_out())) == ["a.png", "notes.csv"]
