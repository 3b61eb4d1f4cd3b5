from __future__ import annotations

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from visdiv_assets.errors import VisdivError
from visdiv_assets.sources import COLUMNS, SCHEMA, Kind
from visdiv_assets.sources import open as open_source
from visdiv_assets_tests.sources.conftest import Corpus, plain_rows

ODD_NAMES = [
    "geoqa+(mathv360k)",
    "cambrian(filtered)_processed",
    "text_OpenMathInstruct-2",
    "a.b",
    "Ünï code",
    "x'y",
]


def test_the_sample_is_read_whole_and_in_order(sample: Path) -> None:
    source = open_source(sample)
    for name, rows in [("clipart_nature", 315), ("clipart_people", 306), ("clipart_things", 318)]:
        shards = source.shards(Kind.SUBSET, name)
        assert [shard.name for shard in shards] == [f"train-0000{n}-of-00002.parquet" for n in (0, 1)]
        assert sum(shard.rows for shard in shards) == rows
        assert sum(shard.size_bytes for shard in shards) == source.size_bytes(Kind.SUBSET, name)
        read = [
            row
            for shard in shards
            for batch in source.batches(Kind.SUBSET, name, shard, columns=["source", "images"])
            for row in batch.to_pylist()
        ]
        table = pq.read_table(sample / "subsets" / name, columns=["source", "images"])
        assert [list(row) for row in read] == [["source", "images"]] * rows
        assert read == table.to_pylist()


def test_single_images_of_a_benchmark_are_read_as_lists(sample: Path) -> None:
    source = open_source(sample)
    (shard,) = source.shards(Kind.BENCHMARK, "clipart_bench")
    rows = [
        row
        for batch in source.batches(Kind.BENCHMARK, "clipart_bench", shard, columns=COLUMNS)
        for row in batch.to_pylist()
    ]
    images = pq.read_table(sample / "benchmarks" / "clipart_bench").column("image").to_pylist()
    assert [row["images"] for row in rows] == [[image] for image in images]
    assert all(row[column] is None for row in rows for column in COLUMNS if column != "images")


def test_subset_names_are_the_folders_names_exactly(corpus: Corpus) -> None:
    for number, name in enumerate(ODD_NAMES):
        corpus.write(plain_rows(number + 1), name)
    assert corpus.open().subsets() == sorted(ODD_NAMES)
    for number, name in enumerate(ODD_NAMES):
        assert len(corpus.read(name)) == number + 1


def test_hidden_and_other_files_are_ignored(corpus: Corpus) -> None:
    file = corpus.write(plain_rows(2))
    for other in (".hidden.parquet", "README.md", "data.parquet.tmp", ".cache/x.parquet"):
        (file.parent / other).parent.mkdir(exist_ok=True)
        (file.parent / other).write_bytes(b"not Parquet")
    (corpus.root / "subsets" / ".git").mkdir()
    (corpus.root / "subsets" / "LICENSE").write_text("text")
    source = corpus.open()
    assert source.subsets() == ["some"]
    assert [shard.name for shard in source.shards(Kind.SUBSET, "some")] == [file.name]


def test_files_in_folders_within_are_found_and_sorted_by_path(corpus: Corpus) -> None:
    for file in ("b/2.parquet", "b.parquet", "a/z/1.parquet", "a/10.parquet", "a/9.PARQUET"):
        corpus.write(plain_rows(1), file=file)
    names = [shard.name for shard in corpus.open().shards(Kind.SUBSET, "some")]
    assert names == ["a/10.parquet", "a/9.PARQUET", "a/z/1.parquet", "b.parquet", "b/2.parquet"]


def test_links_are_followed_but_not_in_circles(corpus: Corpus, tmp_path: Path) -> None:
    file = corpus.write(plain_rows(3), "real")
    subsets = corpus.root / "subsets"
    (subsets / "linked").symlink_to(subsets / "real", target_is_directory=True)
    (subsets / "mixed").mkdir()
    (subsets / "mixed" / "one.parquet").symlink_to(file)
    (subsets / "mixed" / "round").symlink_to(subsets / "mixed", target_is_directory=True)
    assert corpus.open().subsets() == ["linked", "mixed", "real"]
    assert len(corpus.read("linked")) == 3
    assert [shard.name for shard in corpus.open().shards(Kind.SUBSET, "mixed")] == ["one.parquet"]


def test_a_link_to_nothing_is_an_error_not_a_missing_shard(corpus: Corpus) -> None:
    file = corpus.write(plain_rows(3))
    (file.parent / "train-2.parquet").symlink_to("blobs/gone")
    with pytest.raises(VisdivError, match=r"train-2\.parquet cannot be read .*check that it exists"):
        corpus.open().shards(Kind.SUBSET, "some")


def test_a_name_that_is_not_utf8_is_an_error_that_can_be_printed(corpus: Corpus) -> None:
    file = corpus.write(plain_rows(3))
    try:
        file.rename(os.fsdecode(os.fsencode(file.parent) + b"/\xff.parquet"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    with pytest.raises(VisdivError, match="not UTF-8: rename it") as caught:
        corpus.open().shards(Kind.SUBSET, "some")
    str(caught.value).encode()


def test_a_subset_without_parquet_files_is_named(corpus: Corpus) -> None:
    (corpus.root / "subsets" / "empty one").mkdir()
    source = corpus.open()
    assert source.subsets() == ["empty one"]
    with pytest.raises(VisdivError, match=r"empty one holds no \.parquet file"):
        source.shards(Kind.SUBSET, "empty one")


def test_an_unknown_subset_is_named_with_the_nearest(corpus: Corpus) -> None:
    corpus.write(plain_rows(1), "chartqa")
    with pytest.raises(VisdivError, match="no 'chartqaa' among its subsets: did you mean 'chartqa'"):
        corpus.open().shards(Kind.SUBSET, "chartqaa")
    with pytest.raises(VisdivError, match="no 'zzz' among its subsets: it has chartqa"):
        corpus.open().size_bytes(Kind.SUBSET, "zzz")
    with pytest.raises(VisdivError, match="no 'chartqa' among its benchmarks: it has nothing"):
        corpus.open().shards(Kind.BENCHMARK, "chartqa")


@pytest.mark.parametrize("name", ["", ".", "..", "../subsets", "some/within", ".hidden"])
def test_names_do_not_lead_out_of_the_folder(corpus: Corpus, name: str) -> None:
    corpus.write(plain_rows(1), file="within/x.parquet")
    with pytest.raises(VisdivError, match="among its subsets"):
        corpus.open().shards(Kind.SUBSET, name)


def test_files_without_rows_are_legal(corpus: Corpus) -> None:
    corpus.write([], file="a.parquet")
    corpus.write(plain_rows(2), file="b.parquet")
    corpus.write([], file="c.parquet")
    source = corpus.open()
    assert [shard.rows for shard in source.shards(Kind.SUBSET, "some")] == [0, 2, 0]
    assert corpus.read() == plain_rows(2)
    assert source.fetch(Kind.SUBSET, "some", [(1, 0)]) == [b"image 1.0"]


def test_a_subset_of_no_rows_at_all_is_legal(corpus: Corpus) -> None:
    corpus.write([])
    assert corpus.read() == []
    assert corpus.open().fetch(Kind.SUBSET, "some", []) == []


def test_the_digest_depends_on_the_content_only(corpus: Corpus) -> None:
    file = corpus.write(plain_rows(5))
    source = corpus.open()

    def state() -> tuple[str, str]:
        ((shard, digest),) = source.digests(Kind.SUBSET, "some", {})
        assert source.digests(Kind.SUBSET, "some", {shard.fingerprint: "known"}) == [(shard, "known")]
        return digest, shard.fingerprint

    first = state()
    assert state() == first
    assert len(first[0]) == 64
    os.utime(file, ns=(1, 1))
    touched = state()
    assert touched[0] == first[0]
    assert touched[1] != first[1]
    content = bytearray(file.read_bytes())
    content[10] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(1, 1))
    flipped = state()
    assert flipped[0] != first[0]
    assert flipped[1] == touched[1]


def test_a_shard_that_changed_since_it_was_listed_is_refused(corpus: Corpus) -> None:
    file = corpus.write(plain_rows(5))
    source = corpus.open()
    (shard,) = source.shards(Kind.SUBSET, "some")
    corpus.write(plain_rows(6))
    with pytest.raises(VisdivError, match=rf"{file.name} has changed since it was listed"):
        source.batches(Kind.SUBSET, "some", shard, columns=["images"])
    file.unlink()
    with pytest.raises(VisdivError, match=rf"{file.name} cannot be read"):
        source.batches(Kind.SUBSET, "some", shard, columns=["images"])


def test_a_damaged_file_has_no_digest(corpus: Corpus) -> None:
    file = corpus.write(plain_rows(5))
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(VisdivError, match=rf"{file.name} is not a readable Parquet file"):
        corpus.open().digests(Kind.SUBSET, "some", {})


@pytest.mark.parametrize("batch_rows", [1, 7, 64, 1000])
def test_batches_hold_every_row_once_and_in_order(corpus: Corpus, batch_rows: int) -> None:
    corpus.write(plain_rows(90), file="0.parquet", row_group_size=13)
    corpus.write(plain_rows(20, start=90), file="1.parquet")
    batches = list(corpus.batches(batch_rows=batch_rows))
    assert all(0 < batch.num_rows <= batch_rows for batch in batches)
    assert all(batch.schema.equals(SCHEMA, check_metadata=True) for batch in batches)
    assert [row for batch in batches for row in batch.to_pylist()] == plain_rows(110)


def test_columns_come_as_asked_and_in_that_order(corpus: Corpus) -> None:
    corpus.write(plain_rows(3))
    (batch,) = corpus.batches(columns=["source", "formatting_ratings", "images"])
    assert batch.schema.names == ["source", "formatting_ratings", "images"]


def test_unknown_columns_or_empty_batches_are_value_errors(corpus: Corpus) -> None:
    corpus.write(plain_rows(3))
    with pytest.raises(ValueError, match="unknown columns \\['image'\\]"):
        list(corpus.batches(columns=["image"]))
    with pytest.raises(ValueError, match="at least 1"):
        list(corpus.batches(batch_rows=0))


def test_fetch_reads_across_shards_in_the_given_order(corpus: Corpus) -> None:
    corpus.write(plain_rows(10), file="0.parquet", row_group_size=3)
    corpus.write(plain_rows(10, start=10), file="1.parquet", row_group_size=4)
    asked = [(17, 1), (1, 0), (11, 1), (11, 0), (1, 0), (8, 1), (10, 0)]
    fetched = corpus.open().fetch(Kind.SUBSET, "some", asked)
    assert fetched == [f"image {row}.{index}".encode() for row, index in asked]


@pytest.mark.parametrize(
    ("position", "message"),
    [
        ((20, 0), "has no row 20: it has 20 rows"),
        ((-1, 0), "has no row -1"),
        ((11, 2), "row 11 of subsets/some .* has no image 2: it has 2"),
        ((11, -1), "has no image -1"),
        ((0, 0), "row 0 of .* has no image 0: it has 0"),
    ],
)
def test_fetch_refuses_positions_that_do_not_exist(corpus: Corpus, position: tuple[int, int], message: str) -> None:
    corpus.write(plain_rows(10), file="0.parquet")
    corpus.write(plain_rows(10, start=10), file="1.parquet")
    with pytest.raises(VisdivError, match=message):
        corpus.open().fetch(Kind.SUBSET, "some", [(1, 0), position])


def test_fetch_gives_none_for_an_image_without_bytes(corpus: Corpus) -> None:
    corpus.write([{"images": [{"bytes": None, "path": "x.png"}, {"bytes": b"", "path": None}], "texts": []}])
    assert corpus.open().fetch(Kind.SUBSET, "some", [(0, 1), (0, 0)]) == [b"", None]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_fetch_equals_batches(corpus: Corpus, data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(0, 40), min_size=1, max_size=3))
    group = data.draw(st.integers(1, 50))
    for old in (corpus.root / "subsets").glob("*/*.parquet"):
        old.unlink()
    start = 0
    for number, size in enumerate(sizes):
        corpus.write(plain_rows(size, start), file=f"{number}.parquet", row_group_size=group)
        start += size
    images = {
        (row, index): image["bytes"]
        for row, content in enumerate(corpus.read(columns=["images"], batch_rows=data.draw(st.integers(1, 50))))
        for index, image in enumerate(content["images"])
    }
    asked = data.draw(st.lists(st.sampled_from(sorted(images)), max_size=30)) if images else []
    assert corpus.open().fetch(Kind.SUBSET, "some", asked) == [images[position] for position in asked]
