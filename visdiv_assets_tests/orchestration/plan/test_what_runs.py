"""What a run would make, by the state of a small lake."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from visdiv_assets.corpus.tables import CORPUS_PARTITION, TABLES, PartitionKind
from visdiv_assets.orchestration.plan.steps import Step, steps
from visdiv_assets.orchestration.plan.what_runs import CHANGED, DECIDED, NEW, UNCHANGED, UNREADABLE, Plan, plan_run
from visdiv_assets.settings import Settings
from visdiv_assets.sources import Kind, Source
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import MANIFEST
from visdiv_assets.wiring import open_lake, open_source
from visdiv_assets_tests.conftest import one_each, write_shard

SUBSET, BENCHMARK, CORPUS = PartitionKind.SUBSET, PartitionKind.BENCHMARK, PartitionKind.CORPUS

STEPS = [
    Step("benchmark_images", BENCHMARK, {"benchmark_images": "1"}, frozenset()),
    Step("subset_images", SUBSET, {"subset_images": "1"}, frozenset()),
    Step("near_duplicates", SUBSET, {"near_duplicates": "1"}, frozenset({"subset_images"})),
    Step("contamination", SUBSET, {"contamination": "1"}, frozenset({"subset_images", "benchmark_images"})),
    Step("curated_rows", CORPUS, {"curated_rows": "1"}, frozenset({"near_duplicates"})),
    Step("warehouse", CORPUS, {"warehouse": "1"}, frozenset({"curated_rows", "contamination"})),
]


class Made:
    """A source of a subset and a benchmark, and a lake in which all of it is materialized."""

    def __init__(self, settings: Settings) -> None:
        write_shard(settings.source, "some", one_each([1, 2]))
        write_shard(settings.source, "bench", one_each([3]), kind=Kind.BENCHMARK)
        self.settings = settings
        self.lake = open_lake(settings)
        for table, kind, name in (
            ("benchmark_images", Kind.BENCHMARK, "bench"),
            ("subset_images", Kind.SUBSET, "some"),
        ):
            observed = self.source.observed_version(kind, name)
            self.lake.write(table, name, code_version="1").commit(images=7, observed_version=observed)
        for table in ("near_duplicates", "contamination"):
            self.lake.write(table, "some", code_version="1").commit()
        self.lake.write("curated_rows", CORPUS_PARTITION, code_version="1").commit()

    @property
    def source(self) -> Source:
        return open_source(self.settings)

    def plan(self, *more: str, lake: Lake | None = None) -> Plan:
        return plan_run(self.source, lake or self.lake, ["bench"], ["some", *more], STEPS)

    def made(self) -> dict[str, set[str]]:
        """Return the steps that would make something, by partition."""
        planned = self.plan()
        return {**{part.name: set(part.made) for part in planned.parts}, "all": set(planned.corpus)}


@pytest.fixture
def made(settings: Settings) -> Made:
    return Made(settings)


def test_nothing_is_made_when_all_is_current(made: Made) -> None:
    assert made.made() == {"bench": set(), "some": set(), "all": set()}
    assert [part.state for part in made.plan().parts] == [UNCHANGED, UNCHANGED]


def test_a_new_subset_is_made_whole_and_counted_by_rows(made: Made) -> None:
    write_shard(made.settings.source, "other", one_each([5, 6, 7]))
    part = made.plan("other").parts[-1]
    assert (part.name, part.state, part.images) == ("other", NEW, 3)
    assert part.made == {"subset_images", "near_duplicates", "contamination"}
    assert part.size_bytes > 0
    assert made.plan("other").images == {SUBSET: {"some": 7, "other": 3}, BENCHMARK: {"bench": 7}}
    assert made.plan("other").corpus == {"curated_rows", "warehouse"}


def test_changed_files_make_everything_again(made: Made) -> None:
    write_shard(made.settings.source, "some", one_each([1, 2, 3]))
    assert made.plan().parts[1].state == CHANGED
    assert made.plan().parts[1].images == 7
    assert made.made() == {
        "bench": set(),
        "some": {"subset_images", "near_duplicates", "contamination"},
        "all": {"curated_rows", "warehouse"},
    }


def test_new_decisions_make_what_reads_verdicts(made: Made) -> None:
    report = Step("duplicates_report", SUBSET, {}, frozenset({"verified_duplicates"}))
    clusters = Step("duplicate_clusters", CORPUS, {}, frozenset({"verified_duplicates"}))
    planned = plan_run(made.source, made.lake, [], ["some"], [*STEPS, report, clusters], ["some"])
    (part,) = planned.parts
    assert part.state == DECIDED
    assert part.made == {"duplicates_report"}
    assert planned.corpus == {"duplicate_clusters"}


def test_a_changed_benchmark_makes_contamination_only(made: Made) -> None:
    write_shard(made.settings.source, "bench", one_each([8]), kind=Kind.BENCHMARK)
    assert made.made() == {"bench": {"benchmark_images"}, "some": {"contamination"}, "all": {"warehouse"}}


def test_a_missing_table_makes_those_behind_it(made: Made) -> None:
    (Path(made.settings.lake_root) / "near_duplicates" / "some" / MANIFEST).unlink()
    assert made.made() == {"bench": set(), "some": {"near_duplicates"}, "all": {"curated_rows", "warehouse"}}


def test_changed_code_makes_a_table_again(made: Made) -> None:
    made.lake.write("near_duplicates", "some", code_version="0").commit()
    made.lake.write("curated_rows", CORPUS_PARTITION, code_version="1").commit()
    assert made.made() == {"bench": set(), "some": {"near_duplicates"}, "all": {"curated_rows", "warehouse"}}


def test_a_table_older_than_its_input_is_made_again(made: Made) -> None:
    manifest = made.lake.require("near_duplicates", "some")
    older = replace(manifest, materialized_at="2020-01-01T00:00:00+00:00")
    (Path(made.settings.lake_root) / manifest.path_of(MANIFEST)).write_bytes(older.to_json())
    assert made.made()["some"] == {"near_duplicates"}


def test_what_cannot_be_read_is_named(made: Made) -> None:
    (Path(made.settings.source) / "subsets" / "other").mkdir()
    (Path(made.settings.source) / "subsets" / "other" / "broken.parquet").write_bytes(b"no Parquet")
    planned = made.plan("other")
    (part,) = planned.failing
    assert (part.name, part.state, part.made) == ("other", UNREADABLE, frozenset())
    assert "broken.parquet" in part.problem


# The steps of the product --------------------------------------------------------------------------------------------


def test_the_steps_are_those_of_the_jobs() -> None:
    tables = {table for step in steps(with_clip=True) for table in step.versions}
    assert {"subset_images", "sscd_embeddings", "alignment", "curated_rows", "warehouse"} <= tables
    assert not {"calibration", "image_texts", "masked_alignment", "judge_ratings", "maps", "subset_files"} & tables
    assert "alignment" not in {table for step in steps(with_clip=False) for table in step.versions}


def test_text_in_images_is_a_step_on_request() -> None:
    samples = {step.name: step.sample for step in steps(with_clip=False, with_ocr=True, ocr_sample=200)}
    assert samples.pop("image_texts") == samples.pop("benchmark_image_texts") == 200
    assert set(samples.values()) == {0}
    assert "masked_alignment" not in samples
    with_both = {step.name: step.sample for step in steps(with_clip=True, with_ocr=True, ocr_sample=200)}
    assert with_both["masked_alignment"] == 200


def test_each_step_is_behind_those_it_reads() -> None:
    before: set[str] = set()
    found = steps(with_clip=True)
    tables = {table for step in found for table in step.versions}
    for step in found:
        assert step.inputs & tables <= before
        before |= set(step.versions)


def test_steps_have_the_kinds_of_their_tables() -> None:
    for step in steps(with_clip=True):
        for table in set(step.versions) & set(TABLES) - {"leak_reports"}:
            assert TABLES[table] is step.kind
