from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from visdiv_assets import sources
from visdiv_assets.curation.export import export
from visdiv_assets.errors import SourceError
from visdiv_assets.sources import COLUMNS, SCHEMA, Kind, SavedDatasetsSource, batching
from visdiv_assets.sources.versions import version_of
from visdiv_assets_tests.curation.exports import decide
from visdiv_assets_tests.sources.saved import FEATURES, images_of, make_dataset, png, read, save

SIDES = [1, 2, None, 4, 5, 6, 7]


def test_a_saved_dataset_is_a_subset_named_like_its_folder(tmp_path: Path) -> None:
    source = sources.open(save(make_dataset(SIDES), tmp_path / "squares", num_shards=2))
    assert isinstance(source, SavedDatasetsSource)
    assert (source.subsets(), source.benchmarks()) == (["squares"], [])
    shards = source.shards(Kind.SUBSET, "squares")
    assert [(shard.name, shard.rows) for shard in shards] == [
        ("data-00000-of-00002.arrow", 4),
        ("data-00001-of-00002.arrow", 3),
    ]
    assert source.size_bytes(Kind.SUBSET, "squares") == sum(shard.size_bytes for shard in shards)
    for batch_rows in (1, 3, 64):
        rows = read(source, "squares", batch_rows=batch_rows)
        assert [row["images"] for row in rows] == images_of(SIDES)
        assert {row[column] for row in rows for column in COLUMNS if column != "images"} == {None}
    batches = source.batches(Kind.SUBSET, "squares", shards[0], columns=["images", "source"])
    assert next(batches).schema == pa.schema([SCHEMA.field("images"), SCHEMA.field("source")])
    assert read(source, "squares", ("source",)) == [{"source": None}] * len(SIDES)


def test_single_images_are_fetched_in_the_order_asked(tmp_path: Path) -> None:
    source = sources.open(save(make_dataset(SIDES), tmp_path / "squares", num_shards=3))
    assert source.fetch(Kind.SUBSET, "squares", [(6, 0), (0, 0), (6, 0), (3, 0)]) == [
        png(side) for side in (7, 1, 7, 4)
    ]
    with pytest.raises(SourceError, match=r"row 2 of subsets/squares in .* has no image 0: it has 0"):
        source.fetch(Kind.SUBSET, "squares", [(2, 0)])
    with pytest.raises(SourceError, match="has no row 7: it has 7 rows"):
        source.fetch(Kind.SUBSET, "squares", [(7, 0)])


def test_a_saved_dict_has_a_subset_for_each_split(tmp_path: Path) -> None:
    splits = datasets.DatasetDict({"train": make_dataset([1, 2]), "test": make_dataset([3])})
    source = sources.open(save(splits, tmp_path / "squares"))
    assert source.subsets() == ["test", "train"]
    assert [row["images"] for row in read(source, "train")] == images_of([1, 2])
    assert [row["images"] for row in read(source, "test")] == images_of([3])


@pytest.mark.parametrize("folder", [".", "subsets"])
def test_a_folder_of_saved_datasets_has_a_subset_for_each_split(tmp_path: Path, folder: str) -> None:
    base = tmp_path / folder
    save(make_dataset([1]), base / "single")
    save(datasets.DatasetDict({"train": make_dataset([2]), "test": make_dataset([3])}), base / "squares")
    (base / "notes").mkdir()
    source = sources.open(tmp_path)
    assert source.subsets() == ["single", "squares-test", "squares-train"]
    assert [row["images"] for row in read(source, "squares-test")] == images_of([3])
    save(make_dataset([1]), base / "squares-test")
    with pytest.raises(SourceError, match=r"squares/test and .*squares-test are both named 'squares-test': rename one"):
        source.subsets()


def test_benchmarks_lie_beside_the_subsets(tmp_path: Path) -> None:
    save(make_dataset([1]), tmp_path / "subsets" / "a")
    save(make_dataset([2]), tmp_path / "benchmarks" / "b")
    source = sources.open(tmp_path)
    assert (source.subsets(), source.benchmarks()) == (["a"], ["b"])
    assert source.fetch(Kind.BENCHMARK, "b", [(0, 0)]) == [png(2)]
    with pytest.raises(SourceError, match="has no 'b' among its subsets"):
        source.shards(Kind.SUBSET, "b")


def test_versions_follow_the_content(tmp_path: Path) -> None:
    folder = save(make_dataset([1, 2]), tmp_path / "squares")
    source = sources.open(folder)
    version, observed = version_of(source, Kind.SUBSET, "squares"), source.observed_version(Kind.SUBSET, "squares")
    shard = version.shards[0].shard
    os.utime(folder / shard.name, (1, 1))
    assert version_of(source, Kind.SUBSET, "squares").revision == version.revision
    assert source.observed_version(Kind.SUBSET, "squares") != observed
    with pytest.raises(SourceError, match=r"data-00000-of-00001\.arrow of subsets/squares in .* has changed since"):
        source.batches(Kind.SUBSET, "squares", shard, columns=["images"])
    save(make_dataset([1, 3]), folder)
    assert version_of(source, Kind.SUBSET, "squares").revision != version.revision


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    folder = save(make_dataset(SIDES), tmp_path / "squares")
    file = folder / "data-00000-of-00001.arrow"
    content = file.read_bytes()
    for damaged in (content[: len(content) // 2], b"", b"nothing like it"):
        file.write_bytes(damaged)
        with pytest.raises(SourceError, match=r"data-00000-of-00001\.arrow is not a readable Arrow stream"):
            sources.open(folder).shards(Kind.SUBSET, "squares")
    file.unlink()
    with pytest.raises(SourceError, match=r"data-00000-of-00001\.arrow cannot be read"):
        sources.open(folder).shards(Kind.SUBSET, "squares")


@pytest.mark.parametrize("split", ["../other", "..", "/etc", "a/b", 3])
def test_a_split_that_leads_out_of_the_folder_is_refused(tmp_path: Path, split: object) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": [split]}), encoding="utf-8")
    with pytest.raises(SourceError, match=r"which is not a folder in it: save the dataset again with save_to_disk"):
        sources.open(folder).subsets()


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ("not JSON", "is not a JSON object"),
        ("[]", "is not a JSON object"),
        ("{}", "lists no data files"),
        ('{"_data_files": []}', "holds no data file"),
        ('{"_data_files": [{"filename": "../x.arrow"}]}', "which is not a file of the folder"),
        ('{"_data_files": [], "_indices_data_files": [{"filename": "i.arrow"}]}', "old version of `datasets`"),
    ],
)
def test_an_unusable_state_is_refused(tmp_path: Path, state: str, message: str) -> None:
    folder = save(make_dataset([1]), tmp_path / "squares")
    (folder / "state.json").write_text(state)
    with pytest.raises(SourceError, match=message):
        sources.open(folder).shards(Kind.SUBSET, "squares")


def test_a_dict_without_splits_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dataset_dict.json").write_text("{}")
    with pytest.raises(SourceError, match="lists no splits"):
        sources.open(tmp_path).subsets()


def test_an_export_keeps_the_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "STORED_BYTES", 1)
    source = sources.open(save(make_dataset(SIDES), tmp_path / "squares", num_shards=2))
    kept = np.array([True, True, True, False, False, True, True])
    export(source, [decide(source, "squares", kept)], tmp_path / "copy")
    assert len(list((tmp_path / "copy" / "squares").glob("*.parquet"))) == 2
    table = pq.read_table(tmp_path / "copy" / "squares")
    assert datasets.Features.from_arrow_schema(table.schema) == FEATURES
    assert table["caption"].to_pylist() == [f"a square of {side}" for side in (1, 2, None, 6, 7)]


def test_reading_does_not_import_datasets(tmp_path: Path) -> None:
    folder = save(make_dataset([1, 2]), tmp_path / "squares")
    program = (
        "import sys; from visdiv_assets import sources; from visdiv_assets.sources.versions import version_of\n"
        "source = sources.open(sys.argv[1]); version_of(source, 'subsets', 'squares')\n"
        "print('datasets' in sys.modules)"
    )
    program = program.replace("'subsets'", "sources.Kind.SUBSET")
    ran = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_a_saved_dataset_is_read_in_the_order_of_its_state(tmp_path: Path) -> None:
    folder = save(make_dataset([1, 2]), tmp_path / "squares", num_shards=2)
    state = json.loads((folder / "state.json").read_text())
    state["_data_files"].reverse()
    (folder / "state.json").write_text(json.dumps(state))
    assert [row["images"] for row in read(sources.open(folder), "squares")] == images_of([2, 1])
