from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from visdiv_assets import sources
from visdiv_assets.curation import export as module
from visdiv_assets.curation.export import DROPPED_SCHEMA, ExportResult, SubsetDecision, export, preview
from visdiv_assets.sources import SCHEMA, batching, image_folder
from visdiv_assets_tests.curation.exports import FinishedItems, decide, dropped, rows, snapshot, write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A source of two subsets, of two shards and one."""
    root = tmp_path / "source"
    write(root, "a", rows(30), "train-00000-of-00002.parquet", row_group_size=7)
    write(root, "a", rows(25, 30), "train-00001-of-00002.parquet")
    write(root, "b", rows(10))
    return root


def kept_names(folder: Path) -> list[str]:
    return [name for file in sorted(folder.glob("*.parquet")) for name in pq.read_table(file)["source"].to_pylist()]


def test_the_copy_of_the_sample_is_what_plain_pyarrow_would_keep(sample_folder: Path, tmp_path: Path) -> None:
    source, folder = sources.open(sample_folder), tmp_path / "copy"
    before = snapshot(sample_folder)
    decisions = [decide(source, subset, seed=seed) for seed, subset in enumerate(source.subsets())]
    finished = FinishedItems()
    result = export(source, iter(decisions), folder, progress=finished)
    assert snapshot(sample_folder) == before
    assert finished.count == sum(decision.version.rows for decision in decisions) == 939
    written = []
    for decision in decisions:
        for versioned in decision.version.shards:
            path = f"{decision.subset}/{versioned.shard.name}"
            written.append(folder / path)
            stored = pq.read_table(sample_folder / "subsets" / path)
            expected = stored.filter(pa.array(decision.kept[versioned.first_row :][: stored.num_rows]))
            given = pq.read_table(folder / path)
            assert given.equals(expected)
            assert given.schema.equals(stored.schema, check_metadata=True)
    kept = sum(int(decision.kept.sum()) for decision in decisions)
    assert result == ExportResult(3, kept, 939 - kept, 6, sum(file.stat().st_size for file in written), 0)
    assert sorted(snapshot(folder)) == sorted(
        ["README.md", "croissant.json", "dropped.parquet", *(file.relative_to(folder).as_posix() for file in written)]
    )
    left_out = pq.read_table(folder / "dropped.parquet")
    assert left_out.schema.equals(DROPPED_SCHEMA)
    assert left_out.equals(pa.concat_tables([decision.dropped for decision in decisions]))


def test_the_copy_is_a_source_itself(sample_folder: Path, tmp_path: Path) -> None:
    source = sources.open(sample_folder)
    export(source, [decide(source, subset) for subset in source.subsets()], tmp_path / "copy")
    copy = sources.open(tmp_path / "copy")
    assert copy.subsets() == source.subsets()


def test_everything_or_nothing_may_be_kept(root: Path, tmp_path: Path) -> None:
    source, folder = sources.open(root), tmp_path / "copy"
    first_shard_gone = np.arange(55) >= 30
    result = export(source, [decide(source, "a", first_shard_gone), decide(source, "b", [True] * 10)], folder)
    assert result.files == 3
    assert kept_names(folder / "a") == [f"row {row}" for row in range(30, 55)]
    assert kept_names(folder / "b") == [f"row {row}" for row in range(10)]
    emptied = pq.ParquetFile(folder / "a" / "train-00000-of-00002.parquet")
    assert (emptied.metadata.num_rows, emptied.metadata.num_row_groups) == (0, 0)
    assert emptied.schema_arrow.equals(SCHEMA)


def test_row_groups_are_of_moderate_size_in_rows_and_bytes(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def groups(folder: Path) -> list[int]:
        metadata = pq.read_metadata(folder / "c" / "train-00000-of-00001.parquet")
        return [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]

    write(root, "c", rows(730), row_group_size=51)
    source = sources.open(root)
    kept = np.arange(730) % 3 > 0
    export(source, [decide(source, "c", kept)], tmp_path / "one")
    assert groups(tmp_path / "one") == [100, 100, 100, 100, 86]
    monkeypatch.setattr(module, "GROUP_BYTES", 1)
    monkeypatch.setattr(batching, "STORED_ROWS", 20)
    export(source, [decide(source, "c", kept)], tmp_path / "two")
    assert sum(groups(tmp_path / "two")) == 486
    assert max(groups(tmp_path / "two")) <= 20


# In a separate process, whose peak is not that of other tests.
MEASURE = r"""
import sys
from pathlib import Path
import pyarrow as pa
from visdiv_assets import sources
from visdiv_assets.curation.export import export
from visdiv_assets_tests.curation.exports import decide
source = sources.open(sys.argv[1])
export(source, [decide(source, "some")], Path(sys.argv[2]))
print(pa.default_memory_pool().max_memory())
"""


def test_memory_is_bounded_by_a_few_batches(tmp_path: Path) -> None:
    noise, size = np.random.default_rng(0).bytes(100_000), 50_000
    images = [[{"bytes": noise[row : row + size], "path": None}] for row in range(3000)]
    table = pa.table({"images": pa.array(images, SCHEMA.field("images").type), "texts": pa.nulls(3000)})
    file = write(tmp_path / "source", "some", table, compression="none", write_batch_size=16, use_dictionary=False)
    ran = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "source"), str(tmp_path / "copy")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert file.stat().st_size > 140 << 20
    assert int(ran.stdout) < 48 << 20
    shutil.rmtree(tmp_path)


@pytest.mark.parametrize("codec", ["zstd", "snappy", "gzip", "none"])
def test_files_are_compressed_as_the_source(tmp_path: Path, codec: str) -> None:
    write(tmp_path / "source", "a", rows(10), compression=codec)
    source = sources.open(tmp_path / "source")
    export(source, [decide(source, "a", [True] * 10)], tmp_path / "copy")
    group = pq.read_metadata(tmp_path / "copy" / "a" / "train-00000-of-00001.parquet").row_group(0)
    used = {group.column(number).compression for number in range(group.num_columns)}
    assert used == {"UNCOMPRESSED" if codec == "none" else codec.upper()}


def test_columns_of_any_type_and_metadata_are_kept(tmp_path: Path) -> None:
    count = 250
    extra = {
        "dictionary": pa.array([f"value {row % 120}" for row in range(count)]).dictionary_encode(),
        "list": pa.array([[b"x"] * (row % 3) for row in range(count)], pa.large_list(pa.large_binary())),
        "nothing": pa.nulls(count),
        "time": pa.array(range(count), pa.timestamp("us", "UTC")),
        "struct": pa.array([{"b": row, "a": [row / 7]} if row % 5 else None for row in range(count)]),
    }
    table = rows(count)
    for name, column in extra.items():
        table = table.append_column(name, column)
    table = table.replace_schema_metadata({"huggingface": '{"info": {}}', "mine": "too"})
    path = write(tmp_path / "source", "a", table, row_group_size=60)
    source = sources.open(tmp_path / "source")
    decision = decide(source, "a")
    export(source, [decision], tmp_path / "copy")
    given = pq.read_table(tmp_path / "copy" / "a" / path.name)
    stored = pq.read_table(path)
    assert given.schema.equals(stored.schema, check_metadata=True)
    assert given.to_pylist() == stored.filter(pa.array(decision.kept)).to_pylist()


def test_files_in_subfolders_are_numbered_in_the_order_of_rows(tmp_path: Path) -> None:
    root = tmp_path / "source"
    for number, file in enumerate(["a.parquet", "a/9.PARQUET", "a/z/1.parquet", "b.parquet"]):
        write(root, "s", rows(2, 2 * number), file)
    source = sources.open(root)
    export(source, [decide(source, "s", [True] * 8)], tmp_path / "copy")
    names = [file.name for file in sorted((tmp_path / "copy" / "s").iterdir())]
    assert names == [f"train-0000{number}-of-00004.parquet" for number in range(4)]
    assert kept_names(tmp_path / "copy" / "s") == [f"row {row}" for row in range(8)]


def test_a_folder_of_images_becomes_parquet_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_folder, "SHARD_FILES", 4)
    album = tmp_path / "album" / "cats"
    album.mkdir(parents=True)
    for number in range(10):
        (album / f"{number}.png").write_bytes(f"image {number}".encode())
    source = sources.open(album.parent)
    kept = np.arange(10) % 3 == 0
    export(source, [decide(source, "cats", kept)], tmp_path / "copy")
    files = sorted((tmp_path / "copy" / "cats").iterdir())
    assert [file.name for file in files] == [f"train-0000{number}-of-00003.parquet" for number in range(3)]
    table = pa.concat_tables(pq.read_table(file) for file in files)
    assert table.column_names == ["images", "texts", "source"]
    assert table["images"].to_pylist() == [
        [{"bytes": f"image {number}".encode(), "path": f"{number}.png"}] for number in (0, 3, 6, 9)
    ]


def test_the_preview_has_rows_kept_rows_and_rows_by_reason(root: Path) -> None:
    source = sources.open(root)
    first = decide(source, "a", [row not in (1, 2, 40) for row in range(55)])
    why = [("duplicate", 1), ("contaminated", 2), ("contaminated", 2), ("duplicate", 40), ("contaminated", 40)]
    entries = pa.concat_tables(dropped("a", [row], reason) for reason, row in why)
    first = SubsetDecision("a", first.version, first.kept, entries)
    table = preview(iter([first, decide(source, "b", [False] * 10, reason="unreadable")]))
    assert table.column_names == ["subset", "rows", "rows_kept", "contaminated", "duplicate", "unreadable"]
    assert [field.type for field in table.schema] == [pa.string(), *[pa.int64()] * 5]
    assert table.to_pylist() == [
        {"subset": "a", "rows": 55, "rows_kept": 52, "contaminated": 2, "duplicate": 2, "unreadable": 0},
        {"subset": "b", "rows": 10, "rows_kept": 0, "contaminated": 0, "duplicate": 0, "unreadable": 10},
    ]
    assert preview([]).column_names == ["subset", "rows", "rows_kept"]
    assert preview([decide(source, "b", [True] * 10)]).to_pylist() == [{"subset": "b", "rows": 10, "rows_kept": 10}]


def test_the_preview_says_what_the_export_does(sample_folder: Path, tmp_path: Path) -> None:
    source = sources.open(sample_folder)
    decisions = [decide(source, subset, seed=7) for subset in source.subsets()]
    previewed = preview(decisions)
    result = export(source, decisions, tmp_path / "copy")
    assert pc.sum(previewed["rows_kept"]).as_py() == result.rows_kept
    assert (
        pc.sum(previewed["quality"]).as_py()
        == result.rows_dropped
        == pq.read_metadata(tmp_path / "copy" / "dropped.parquet").num_rows
    )
