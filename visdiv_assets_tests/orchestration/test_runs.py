"""Which jobs a session runs, for which subsets and benchmarks."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from visdiv_assets.orchestration import runs
from visdiv_assets.orchestration.automation import SUBSET_JOB
from visdiv_assets.orchestration.runs import HEED_TEXTS, Outcome, Session
from visdiv_assets.orchestration.status import stale_benchmarks
from visdiv_assets.settings import Settings
from visdiv_assets.sources import Kind
from visdiv_assets.wiring import open_source
from visdiv_assets_tests.conftest import Pipeline, Row, image, one_each, write_shard

#: Subsets whose verdicts do not follow the text that was read.
NEWLY_READ = ["broken", "edited", "other", "some", "vanished"]


def run_with_text(settings: Settings, monkeypatch: pytest.MonkeyPatch, *failing: str) -> tuple[list[str], list[str]]:
    """Run two subsets with OCR, and return the subsets that were verified again, and the outcomes that failed."""
    for name in ("broken", "edited", "other", "some"):
        write_shard(settings.source, name, [Row([image(1)])])
    again: list[str] = []

    def run(session: Session, job: str, name: str, *, partition: str | None, only: Sequence[str] = ()) -> Outcome:
        if only:
            assert (job, tuple(only), name) == (SUBSET_JOB, HEED_TEXTS, f"verdicts of {partition}")
            again.append(str(partition))
        return Outcome(name, name not in failing, 0.0, "")

    monkeypatch.setattr(Session, "_run", run)
    monkeypatch.setattr(runs, "newly_read_subsets", lambda lake, decoding: NEWLY_READ)
    monkeypatch.setattr(runs, "changed_subsets", lambda source, lake: ["edited"])
    session = Session(settings)
    with session.instance:
        outcomes = list(session.run(["bench"], ["some", "broken"], ocr=True))
    return again, [outcome.name for outcome in outcomes if not outcome.succeeded]


def test_subsets_with_new_text_are_verified_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_with_text(settings, monkeypatch) == (["some", "broken", "other"], [])


def test_a_subset_whose_run_failed_is_not_verified_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_with_text(settings, monkeypatch, "broken") == (["some", "other"], ["broken"])


def test_verdicts_have_an_outcome_only_if_they_fail(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = "verdicts of other"
    assert run_with_text(settings, monkeypatch, failing) == (["some", "broken", "other"], [failing])


def test_a_benchmark_is_stale_until_it_has_run(pipeline: Pipeline) -> None:
    pipeline.write("bench", one_each([1]), kind=Kind.BENCHMARK)
    source = open_source(pipeline.settings)
    assert stale_benchmarks(source, pipeline.lake) == ["bench"]
    assert pipeline.run("bench", kind=Kind.BENCHMARK).success
    assert stale_benchmarks(source, pipeline.lake) == []
    pipeline.write("bench", one_each([1, 2]), kind=Kind.BENCHMARK)
    assert stale_benchmarks(open_source(pipeline.settings), pipeline.lake) == ["bench"]
