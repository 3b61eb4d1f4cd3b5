"""Reading what the stages wrote: partitions of the source, manifests that fit together, positions, vectors, pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.contamination.images import LOCATED_SCHEMA
from visdiv_assets.corpus.access import (
    CONTENT,
    comparable_benchmarks,
    current_embeddings,
    current_regions,
    digests_by_partition,
    is_current,
    load_embeddings,
    present_partitions,
    read_pairs,
    readable_positions,
    require_current,
)
from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.errors import ModelError, NotMaterializedError, StaleError
from visdiv_assets.sources import Kind
from visdiv_assets.sources.opening import open_source
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets_tests.conftest import one_each, write_shard
from visdiv_assets_tests.curation.lakes import Listed, add_embeddings, add_images, add_turns, image_id


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def commit(lake: Lake, table: str, partition: str, inputs: dict[str, str] | None = None, model: str = "m") -> Manifest:
    return lake.write(table, partition, code_version="1", inputs=inputs, model_id=model).commit()


def test_only_present_partitions_are_listed(lake: Lake, tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_shard(source, "here", one_each([0]))
    write_shard(source, "bench", one_each([0]), kind=Kind.BENCHMARK)
    for table, names in {
        LakeTable.SUBSET_IMAGES: ["here", "gone", "bench"],
        LakeTable.BENCHMARK_TEXTS: ["bench", "here"],
        LakeTable.LEAK_REPORTS: ["bench", "old"],
        LakeTable.CURATED_ROWS: [CORPUS_PARTITION],
    }.items():
        for name in names:
            commit(lake, table, name)
    present = present_partitions(lake, open_source(source))
    assert present.partitions(LakeTable.SUBSET_IMAGES) == ["here"]
    assert present.partitions(LakeTable.BENCHMARK_TEXTS) == ["bench"]
    assert present.partitions(LakeTable.LEAK_REPORTS) == ["bench"]
    assert present.partitions(LakeTable.CURATED_ROWS) == [CORPUS_PARTITION]
    assert lake.partitions(LakeTable.SUBSET_IMAGES) == ["bench", "gone", "here"]


@pytest.mark.parametrize("table", [LakeTable.SSCD_EMBEDDINGS, LakeTable.CLIP_TEXT_EMBEDDINGS])
def test_embeddings_of_an_older_list_are_refused_with_the_remedy(lake: Lake, table: str) -> None:
    images = add_images(lake, "some", 1, [Listed(0, "a")])
    with pytest.raises(NotMaterializedError, match=f"{table} of 'some' is not materialized"):
        current_embeddings(lake, images, table)
    made = commit(lake, table, "some", {images.table: images.digest})
    assert current_embeddings(lake, images, table) == made
    changed = add_images(lake, "some", 2, [Listed(0, "a"), Listed(1, "b")])
    with pytest.raises(StaleError, match=rf"^{table} of 'some' is older than its subset_images: run `visdiv run some`"):
        current_embeddings(lake, changed, table)


@pytest.mark.parametrize("kind", Kind)
def test_regions_of_other_images_or_models_are_refused(lake: Lake, kind: Kind) -> None:
    tables = CONTENT[kind]
    embeddings = commit(lake, tables.embeddings, "some", {tables.images: "1"}, model="m")
    with pytest.raises(NotMaterializedError, match=f"{tables.regions} of 'some' is not materialized"):
        current_regions(lake, embeddings, kind)
    refused = (
        rf"^{tables.regions} of 'some' do not belong to its {tables.embeddings}: run `visdiv .* VISDIV_REGIONS=true"
    )
    for inputs, model in (({tables.images: "0"}, "m/regions_3x3"), ({tables.images: "1"}, "n/regions_3x3")):
        commit(lake, tables.regions, "some", inputs, model)
        with pytest.raises(StaleError, match=refused):
            current_regions(lake, embeddings, kind)
    made = commit(lake, tables.regions, "some", {tables.images: "1"}, "m/regions_3x3")
    assert current_regions(lake, embeddings, kind) == made


def test_findings_about_turns_of_older_images_are_not_current(lake: Lake) -> None:
    images = add_images(lake, "some", 1, [Listed(0, "a")])
    turns = add_turns(lake, images, "What?")
    found = commit(lake, LakeTable.QUALITY_ROWS, "some", {turns.table: turns.digest})
    assert is_current(lake, found)
    assert require_current(lake, found) == found
    add_images(lake, "some", 2, [Listed(0, "a"), Listed(1, "b")])
    assert not is_current(lake, found)
    with pytest.raises(StaleError, match="quality_rows of 'some' is older"):
        require_current(lake, found)


def test_benchmarks_of_one_model_are_compared(lake: Lake) -> None:
    embeddings = commit(lake, LakeTable.SSCD_EMBEDDINGS, "some", model="m")
    assert comparable_benchmarks(lake, embeddings) == {}
    images = commit(lake, LakeTable.BENCHMARK_IMAGES, "bench")
    of_benchmark = commit(lake, LakeTable.BENCHMARK_EMBEDDINGS, "bench", model="m")
    assert comparable_benchmarks(lake, embeddings) == {"bench": (images, of_benchmark)}
    commit(lake, LakeTable.BENCHMARK_EMBEDDINGS, "bench", model="other")
    with pytest.raises(ModelError, match="'some' was embedded with m and 'bench' with other"):
        comparable_benchmarks(lake, embeddings)


def test_inputs_name_partition_and_table(lake: Lake) -> None:
    one, two = (commit(lake, LakeTable.SUBSET_IMAGES, name) for name in ("one", "two"))
    assert digests_by_partition([one, two]) == {"one subset_images": one.digest, "two subset_images": two.digest}


def test_a_partition_without_pairs_reads_as_an_empty_table(lake: Lake) -> None:
    manifest = commit(lake, LakeTable.CONTAMINATION, "some")
    assert read_pairs(lake, manifest, LOCATED_SCHEMA).equals(LOCATED_SCHEMA.empty_table())


def test_readable_positions_leave_the_others_out(lake: Lake) -> None:
    images = add_images(lake, "some", 3, [Listed(0, "a"), Listed(1, "", status="empty")], [Listed(2, "a", index=1)])
    found = readable_positions(lake, images)
    assert found.column_names == ["row", "image_index", "image_id", "low_information"]
    assert list(zip(*(found[name].to_pylist() for name in found.column_names[:3]), strict=True)) == [
        (0, 0, image_id("a")),
        (2, 1, image_id("a")),
    ]


def test_embeddings_have_a_background_only_with_near_duplicates(lake: Lake) -> None:
    embeddings = add_embeddings(lake, "some", ("ab", np.eye(2)))
    loaded = load_embeddings(lake, embeddings)
    assert (loaded.name, loaded.image_ids.to_pylist()) == ("some", [image_id("a"), image_id("b")])
    assert np.array_equal(loaded.vectors[np.arange(2)], np.eye(2))
    assert loaded.background.to_pylist() == [None, None]
    write = lake.write(LakeTable.NEAR_DUPLICATES, "some", code_version="1")
    with write.add("pairs") as unit:
        counts = pa.table({"background_similarity": pa.array([0.5, None], pa.float32())})
        unit.table("counts", counts, counts.schema)
    assert load_embeddings(lake, embeddings, write.commit()).background.to_pylist() == [0.5, None]
