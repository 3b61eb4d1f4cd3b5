"""A run that is killed at any point: finished units are reused, and the next run gives the usual result."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from pathlib import Path

import pytest

from visdiv_assets.publishing.warehouse.publish import publish
from visdiv_assets.settings import Settings
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.reliability.processes import (
    SUBSETS,
    Stop,
    Work,
    check_equal,
    check_written,
    copy,
    finished,
    running,
    stopped_and_killed,
    tables,
    temporary_files,
)

#: Each takes many seconds.
pytestmark = pytest.mark.nightly


def test_killed_while_embedding_the_second_file(corpus: Settings, undisturbed: Settings) -> None:
    # Four images are in the first file: the second batch of four is in the second file.
    stopped_and_killed(Work(corpus, ("a",), stop=Stop("visdiv_assets_tests.conftest:ColorEmbedder.run", call=2)))
    metadata = finished(Work(corpus, ("a",)))
    assert metadata["subset_images"]["units_reused"] == 1
    assert metadata["sscd_embeddings"]["units_reused"] == 1
    # Of the other files' seven images two are in the first file or in the second one, too.
    assert metadata["sscd_embeddings"]["images_embedded"] == 5
    copy(corpus, undisturbed, "b", "c")
    finished(Work(corpus, publish=True))
    check_equal(corpus, undisturbed)


def test_killed_in_the_middle_of_writing_a_file_of_vectors(corpus: Settings, undisturbed: Settings) -> None:
    work = Work(corpus, ("a",), stages=("subset_images", "sscd_embeddings"))
    stopped_and_killed(replace(work, stop=Stop("numpy.lib.format:write_array", call=2)))
    (left,) = temporary_files(Path(corpus.lake_root) / "sscd_embeddings")
    assert ".vectors.npy." in left
    assert finished(work)["sscd_embeddings"]["units_reused"] == 1
    check_written(corpus, undisturbed, "subset_images/a", "sscd_embeddings/a")


def test_killed_while_writing_what_strips_found(corpus: Settings, undisturbed: Settings) -> None:
    copy(corpus, undisturbed, *SUBSETS)
    work = Work(corpus, publish=True, stages=("cross_subset_duplicates",))
    stop = Stop("visdiv_assets.orchestration.work.corpus_join:overlap_table")
    stopped_and_killed(replace(work, stop=stop))
    assert finished(work)["cross_subset_duplicates"]["strips_reused"] == 1
    check_written(corpus, undisturbed, "cross_subset_duplicates/all")


def test_killed_before_the_warehouse_is_put_in_place(corpus: Settings, undisturbed: Settings) -> None:
    copy(corpus, undisturbed, "a")
    publish(Lake(corpus.lake_root), corpus.warehouse_path)
    before = tables(corpus.warehouse_path)
    copy(corpus, undisturbed, "b", "c", "all")
    work = Work(corpus, publish=True, stages=("warehouse",))
    stopped_and_killed(replace(work, stop=Stop("pathlib:Path.replace", argument=".duckdb.")))
    (left,) = temporary_files(corpus.data)
    assert left.startswith(".visdiv.duckdb.")
    assert tables(corpus.warehouse_path) == before
    finished(work)
    check_equal(corpus, undisturbed)


@pytest.mark.parametrize("seed", range(4))
def test_killed_again_and_again_at_any_moment(corpus: Settings, seed: int, tmp_path: Path) -> None:
    undisturbed = corpus.model_copy(update={"data": str(tmp_path / "undisturbed")})
    work = Work(corpus, SUBSETS, publish=True, everything=True)
    finished(replace(work, settings=undisturbed))
    moments = random.Random(seed)
    for _ in range(12):
        with running(work) as process:
            time.sleep(moments.uniform(0.2, 8.0))
            process.process.kill()
    finished(work)
    check_equal(corpus, undisturbed)
