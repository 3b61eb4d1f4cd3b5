from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visdiv_assets.errors import VisdivError
from visdiv_assets.sources import SCHEMA, ImageFolderSource, Kind, batching
from visdiv_assets.sources import open as open_source
from visdiv_assets_tests.sources.conftest import Corpus, plain_rows


def stored(corpus: Corpus, kind: Kind = Kind.SUBSET) -> list[tuple[pa.Table, str]]:
    """Each shard's rows and compression."""
    source = corpus.open()
    shards = [source.stored(kind, "some", shard) for shard in source.shards(kind, "some")]
    return [(pa.Table.from_batches(shard.batches, shard.schema), shard.compression) for shard in shards]


def test_the_sample_is_given_as_it_is_stored(sample: Path) -> None:
    source = open_source(sample)
    names = [(Kind.SUBSET, name) for name in source.subsets()] + [(Kind.BENCHMARK, "clipart_bench")]
    for kind, name in names:
        for shard in source.shards(kind, name):
            given = source.stored(kind, name, shard)
            expected = pq.read_table(sample / kind.value / name / shard.name)
            table = pa.Table.from_batches(given.batches, given.schema)
            assert table.schema.equals(expected.schema, check_metadata=True)
            assert b"huggingface" in table.schema.metadata
            assert table.equals(expected)
            assert given.compression == "snappy"


def test_every_column_keeps_its_type_values_and_metadata(corpus: Corpus) -> None:
    extra = pa.table(
        [
            pa.array(["x", "y", "x", None]).dictionary_encode(),
            pa.array([[b"1"], None, [], [None]], pa.large_list(pa.large_binary())),
            pa.array([None, {"b": 1, "a": [1.5]}, {"b": None, "a": None}, None]),
            pa.nulls(4),
            pa.array([1, 2, 3, 4], pa.uint8()),
        ],
        schema=pa.schema(
            [
                ("dictionary", pa.dictionary(pa.int32(), pa.string())),
                ("large", pa.large_list(pa.large_binary())),
                ("struct", pa.struct([("b", pa.int64()), ("a", pa.list_(pa.float64()))])),
                ("null", pa.null()),
                pa.field("images", pa.uint8(), nullable=False, metadata={"of the field": "x"}),
            ],
            metadata={"of the file": "y", "huggingface": "{}"},
        ),
    )
    corpus.write(extra, row_group_size=3)
    ((table, _),) = stored(corpus)
    assert table.schema.equals(pq.read_schema(next(corpus.root.glob("*/*/*.parquet"))), check_metadata=True)
    assert table.schema.metadata == {b"of the file": b"y", b"huggingface": b"{}"}
    assert table.to_pylist() == extra.to_pylist()
    for name in extra.column_names:
        assert table.schema.field(name).type == extra.schema.field(name).type


@pytest.mark.parametrize("codec", ["zstd", "snappy", "gzip", "none"])
def test_the_compression_is_known(corpus: Corpus, codec: str) -> None:
    corpus.write(plain_rows(3), compression=codec)
    assert stored(corpus)[0][1] == codec


def test_the_best_of_several_compressions_counts(corpus: Corpus) -> None:
    corpus.write(plain_rows(3), compression={"source": "snappy", "texts.list.element.user": "zstd"})
    assert stored(corpus)[0][1] == "zstd"


def test_columns_of_the_same_name_are_both_given(corpus: Corpus) -> None:
    corpus.write(pa.Table.from_arrays([pa.array([1, 2]), pa.array(["a", "b"])], names=["x", "x"]))
    ((table, _),) = stored(corpus)
    assert [column.to_pylist() for column in table.columns] == [[1, 2], ["a", "b"]]


def test_a_shard_without_rows_has_its_schema(corpus: Corpus) -> None:
    corpus.write([])
    ((table, _),) = stored(corpus)
    assert table.schema.equals(SCHEMA)
    assert table.num_rows == 0
    with pq.ParquetWriter(next(corpus.root.glob("*/*/*.parquet")), SCHEMA):
        pass
    ((table, compression),) = stored(corpus)
    assert (table.num_rows, compression) == (0, "none")


def test_batches_are_of_few_rows_where_rows_are_large(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "STORED_BYTES", 5000)
    rows = [{"images": [{"bytes": bytes([row]) * 1000, "path": None}], "texts": []} for row in range(20)]
    corpus.write(rows, use_dictionary=False)
    source = corpus.open()
    (shard,) = source.shards(Kind.SUBSET, "some")
    sizes = [batch.num_rows for batch in source.stored(Kind.SUBSET, "some", shard).batches]
    assert sum(sizes) == 20
    assert max(sizes) <= 5
    monkeypatch.setattr(batching, "STORED_BYTES", 1)
    assert [batch.num_rows for batch in source.stored(Kind.SUBSET, "some", shard).batches] == [1] * 20


def test_a_changed_file_is_refused(corpus: Corpus) -> None:
    file = corpus.write(plain_rows(5))
    source = corpus.open()
    (shard,) = source.shards(Kind.SUBSET, "some")
    corpus.write(plain_rows(6))
    with pytest.raises(VisdivError, match=rf"{file.name} has changed since it was listed"):
        source.stored(Kind.SUBSET, "some", shard)


def test_a_file_replaced_between_opening_and_reading_is_noticed(corpus: Corpus) -> None:
    file = corpus.write(plain_rows(5))
    source = corpus.open()
    (shard,) = source.shards(Kind.SUBSET, "some")
    given = source.stored(Kind.SUBSET, "some", shard)
    corpus.write(plain_rows(6))
    with pytest.raises(VisdivError, match=rf"{file.name} holds 6 rows, but its footer says 5"):
        list(given.batches)


def test_a_damaged_file_is_named(corpus: Corpus) -> None:
    rows = [{"images": [{"bytes": b"\x55" * 1000, "path": None}], "texts": []}]
    file = corpus.write(rows, write_page_checksum=True, write_statistics=False, compression="none")
    content = bytearray(file.read_bytes())
    content[content.index(b"\x55" * 100) + 50] ^= 1
    file.write_bytes(content)
    with pytest.raises(VisdivError, match=rf"{file.name} is not a readable Parquet file"):
        stored(corpus)


def test_a_folder_of_images_has_images_texts_and_source(tmp_path: Path) -> None:
    folder = tmp_path / "album" / "cats"
    folder.mkdir(parents=True)
    for name in ("b.png", "a.jpg"):
        (folder / name).write_bytes(name.encode())
    source = ImageFolderSource(folder.parent)
    (shard,) = source.shards(Kind.SUBSET, "cats")
    given = source.stored(Kind.SUBSET, "cats", shard)
    assert given.schema.equals(pa.schema([SCHEMA.field(name) for name in ("images", "texts", "source")]))
    assert [row for batch in given.batches for row in batch.to_pylist()] == [
        {"images": [{"bytes": name.encode(), "path": name}], "texts": None, "source": None}
        for name in ("a.jpg", "b.png")
    ]
    (folder / "a.jpg").write_bytes(b"another")
    with pytest.raises(VisdivError, match="has changed"):
        list(source.stored(Kind.SUBSET, "cats", shard).batches)
