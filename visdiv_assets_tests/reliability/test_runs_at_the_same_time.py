"""Concurrent runs on one data folder: different subsets run at once, the same subset is written by one at a time."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from visdiv_assets.curation.linked_images import PAIR_TABLES, load_linked_images
from visdiv_assets.settings import Settings
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.orchestration.assets.test_failures import visdiv
from visdiv_assets_tests.reliability.processes import (
    OF_A_SUBSET,
    Stop,
    Work,
    check_equal,
    check_written,
    copy,
    finished,
    running,
    tables,
)

#: Each takes many seconds.
pytestmark = pytest.mark.nightly

STAGES = ("subset_images", "sscd_embeddings")
WRITING_EMBEDDINGS = Stop("visdiv_assets.storage.lake:PartitionWrite.add", argument="sscd_embeddings")


def test_concurrent_runs_of_different_subsets_are_both_right(corpus: Settings, undisturbed: Settings) -> None:
    copy(corpus, undisturbed, "c")
    works = (Work(corpus, ("a",), publish=True), Work(corpus, ("b",), publish=True))
    with running(works[0]) as one, running(works[1]) as other:
        one.done()
        other.done()
    # Each has published what was there when it did: the last of all has published everything.
    check_equal(corpus, undisturbed)


def test_of_two_runs_of_a_subset_the_second_waits_and_reuses(corpus: Settings, undisturbed: Settings) -> None:
    work = Work(corpus, ("a",), stages=STAGES)
    with running(replace(work, stop=WRITING_EMBEDDINGS)) as first:
        first.reached()
        with running(work) as second:
            assert second.next("log") == "waiting for another run, which is writing subset_images of 'a'"
            first.go_on()
            embedded = [process.done()["sscd_embeddings"] for process in (first, second)]
    assert [metadata["images_embedded"] for metadata in embedded] == [9, 0]
    assert [metadata["units_reused"] for metadata in embedded] == [0, 3]
    check_written(corpus, undisturbed, *(f"{table}/a" for table in STAGES))


def test_a_run_that_waits_for_a_killed_run_continues(corpus: Settings) -> None:
    work = Work(corpus, ("a",), stages=STAGES)
    with running(replace(work, stop=WRITING_EMBEDDINGS)) as first:
        first.reached()
        with running(work) as second:
            second.next("log")
            first.kill()
            assert second.done()["sscd_embeddings"]["images_embedded"] == 9


def test_a_run_that_has_read_old_inputs_does_not_commit_last(corpus: Settings, undisturbed: Settings) -> None:
    """The first run reads what two subsets hold, the second what three hold, and then the second is faster."""
    copy(corpus, undisturbed, "a", "b")
    reads = Stop("visdiv_assets.storage.lake:Lake.write", argument="cross_subset_duplicates")
    writes = Stop("visdiv_assets.storage.lake:PartitionWrite.add", argument="cross_subset_duplicates")
    work = Work(corpus, publish=True, stages=("cross_subset_duplicates",))
    with running(replace(work, stop=reads)) as first:
        first.reached()
        copy(corpus, undisturbed, "c")
        with running(replace(work, stop=writes)) as second:
            second.reached()
            first.go_on()
            assert first.next("log") == "waiting for another run, which is writing cross_subset_duplicates of 'all'"
            second.go_on()
            assert first.done()["cross_subset_duplicates"]["subsets"] == 3
            second.done()
    check_written(corpus, undisturbed, "cross_subset_duplicates/all")


@pytest.mark.parametrize("done", [4, *(pytest.param(number, marks=pytest.mark.nightly) for number in (1, 2, 3, 5))])
def test_a_subset_between_stages_does_not_prevent_publishing(
    corpus: Settings, undisturbed: Settings, done: int
) -> None:
    """Another run is at work on it, or has failed."""
    copy(corpus, undisturbed, "a", "c")
    for table in OF_A_SUBSET[:done]:
        shutil.copytree(Path(undisturbed.lake_root) / table / "b", Path(corpus.lake_root) / table / "b")
    finished(Work(corpus, publish=True))
    assert [row[0] for row in tables(corpus.warehouse_path)["subsets"]] == ["a", "b", "c"]


@pytest.mark.parametrize("copies_by", ["pixels", "similarity"])
def test_pairs_with_an_incomplete_subset_link_nothing(undisturbed: Settings, copies_by: str) -> None:
    """Subsets are compared as soon as they have vectors, and decided on when they have come further."""
    lake = Lake(undisturbed.lake_root)
    held = {
        image
        for subset in ("a", "c")
        for image in lake.read(lake.require("sscd_embeddings", subset), "ids")["image_id"].to_pylist()
    }
    linked = load_linked_images(lake, ["a", "c"], copies_by)
    names = linked.image_ids.astype(str)
    assert set(names) <= held
    pairs = {
        (names[left], names[right])
        for left, right in zip(linked.copies.pairs.left, linked.copies.pairs.right, strict=True)
    }
    within, across = PAIR_TABLES[copies_by]
    stored = [lake.read(lake.require(*place), "pairs") for place in ((within, "a"), (within, "c"), (across, "all"))]
    if copies_by == "pixels":
        stored = [table.filter(table["verified"]) for table in stored]
    found = {(row["image_id_a"], row["image_id_b"]) for table in stored for row in table.to_pylist()}
    assert pairs == {pair for pair in found if held.issuperset(pair)}
    assert 0 < len(pairs) < len(found)


#: What a busy machine may take for one.
COMMAND_SECONDS = 1200


def test_concurrent_commands_on_one_data_folder_all_succeed(
    corpus: Settings, undisturbed: Settings, tmp_path: Path
) -> None:
    """The command itself, with SSCD and Dagster's state on disk; two of the three runs are of the same subset."""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(visdiv(corpus, "run", name, output=tmp_path / f"{number}.log"))
            for number, name in enumerate(("a", "a", "b"))
        ]
        codes = [process.wait(timeout=COMMAND_SECONDS) for process in processes]
    logs = [(tmp_path / f"{number}.log").read_text() for number in range(3)]
    assert codes == [0, 0, 0], logs
    with visdiv(corpus, "run", "--all", output=tmp_path / "all.log") as process:
        assert process.wait(timeout=COMMAND_SECONDS) == 0
    elsewhere = corpus.model_copy(update={"data": str(tmp_path / "elsewhere")})
    with visdiv(elsewhere, "run", "--all", output=tmp_path / "elsewhere.log") as process:
        assert process.wait(timeout=COMMAND_SECONDS) == 0
    check_equal(corpus, elsewhere)
