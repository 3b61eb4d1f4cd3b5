"""The sample run again: what is found again, and what a new subset changes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from visdiv_assets.orchestration.runs import Session
from visdiv_assets.settings import Settings
from visdiv_assets.sources import Kind
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.conftest import SAMPLE, Pipeline, lake_files, written_at
from visdiv_assets_tests.orchestration.assets.sample_runs import BENCHMARK, SUBSETS, Sample, SampleRun, sample_settings


@pytest.fixture
def copied(sample: Sample, tmp_path: Path) -> Iterator[Pipeline]:
    """The jobs on a copy of the sample's source and lake that a test may change."""
    shutil.copytree(SAMPLE, tmp_path / "source")
    shutil.copytree(sample.settings.lake_root, tmp_path / "data" / "lake")
    with dg.DagsterInstance.ephemeral() as instance:
        for kind, names in ((Kind.SUBSET, SUBSETS), (Kind.BENCHMARK, [BENCHMARK])):
            instance.add_dynamic_partitions({Kind.SUBSET: "subset", Kind.BENCHMARK: "benchmark"}[kind], list(names))
        settings = Settings(source=str(tmp_path / "source"), data=str(tmp_path / "data"), device="cpu")
        yield Pipeline(settings, instance)


@pytest.mark.nightly
def test_a_second_run_embeds_nothing_and_changes_no_data_file(sample_run: SampleRun, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(sample_run.settings.data, data)
    settings = sample_settings(data)
    root, tables = settings.lake_root, Lake(settings.lake_root).tables()
    before, times = lake_files(root), written_at(root, *tables)
    session = Session(settings)
    with session.instance:
        outcome = next(session.run([], ["clipart_people"]))
    assert outcome.succeeded
    assert outcome.detail == "nothing to embed"
    assert lake_files(root) == before
    assert written_at(root, *tables) == times


def test_a_second_run_finds_all_pairs_and_benchmarks_again(copied: Pipeline) -> None:
    root = copied.settings.lake_root
    tables = ["contamination", "cross_subset_duplicates", "duplicate_clusters", "curated_rows"]
    files, times = lake_files(root, *tables), written_at(root, "cross_subset_duplicates", "duplicate_clusters")
    for subset in SUBSETS:
        metadata = copied.run(subset, only=["contamination"]).metadata("contamination")
        assert metadata["units_reused"] == metadata["units"] > 0
    published = copied.publish(
        only=["cross_subset_duplicates", "verified_cross_subset", "duplicate_clusters", "curated_rows"]
    )
    assert published.success
    assert published.metadata("cross_subset_duplicates")["images_joined"] == 0
    assert lake_files(root, *tables) == files
    assert written_at(root, "cross_subset_duplicates", "duplicate_clusters") == times


@pytest.mark.nightly
def test_only_a_new_subset_is_joined_and_loses_its_copies(copied: Pipeline, sample: Sample) -> None:
    dropped = set(sample.query("SELECT subset, row FROM dropped_rows"))
    shard = Path(copied.settings.source) / "subsets" / "clipart_people" / "train-00001-of-00002.parquet"
    added = Path(copied.settings.source) / "subsets" / "copy (of people)" / shard.name
    added.parent.mkdir()
    shutil.copy(shard, added)
    assert copied.run("copy (of people)").success
    published = copied.publish()
    assert published.success, published.failures
    metadata = published.metadata("cross_subset_duplicates")
    assert 0 < metadata["images_joined"] < metadata["images"] / 2
    shared = copied.query(
        "SELECT images, images_shared, images_shared_exactly, share FROM subset_overlap "
        "WHERE subset = 'copy (of people)' AND other_subset = 'clipart_people' AND threshold = 0.98"
    )
    ((images,),) = copied.query("SELECT images_unique FROM subsets WHERE subset = 'copy (of people)'")
    assert shared == [(images, images, images, 1.0)]
    # Names decide between equals: of a row and its copy, the one in the later subset is dropped.
    kept = copied.query(
        """
        SELECT i."row" FROM images i ANTI JOIN dropped_rows d ON d.subset = i.subset AND d."row" = i."row"
        WHERE i.subset = 'copy (of people)'
        """
    )
    assert kept == []
    assert set(copied.query("SELECT subset, row FROM dropped_rows WHERE subset <> 'copy (of people)'")) == dropped
