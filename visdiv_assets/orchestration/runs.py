"""Run Dagster jobs in this process, on the state that the UI shows."""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from filelock import FileLock
from sqlalchemy.exc import DatabaseError

from visdiv_assets.corpus.access import CONTENT
from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration import sessions, state
from visdiv_assets.orchestration.asset_runs import raise_interrupt
from visdiv_assets.orchestration.assets.ingest_results import NOT_READ
from visdiv_assets.orchestration.automation import (
    BENCHMARK_JOB,
    BENCHMARK_OCR_JOB,
    CORPUS_JOB,
    JUDGE_JOB,
    OCR_JOB,
    SUBSET_JOB,
    failure_cause,
)
from visdiv_assets.orchestration.code_location import build_definitions
from visdiv_assets.orchestration.event_log import open_event_log
from visdiv_assets.orchestration.interrupts import StoppableThread
from visdiv_assets.orchestration.partitions import add_missing_keys
from visdiv_assets.orchestration.plan.recorded import PEAK_TAG, peak_bytes
from visdiv_assets.orchestration.run_origin import TAGS, give_origin
from visdiv_assets.orchestration.status import changed_subsets, newly_read_subsets
from visdiv_assets.progress import heading
from visdiv_assets.settings import Settings, dagster_home
from visdiv_assets.sources import Kind
from visdiv_assets.storage.files import replace_local
from visdiv_assets.storage.integrity import find_damage
from visdiv_assets.wiring import open_lake, open_source
from visdiv_assets.wording import several

logger = logging.getLogger(__name__)

#: Tables that `visdiv run` prints at its end: name, title, and SQL on the published DuckDB file.
SUMMARIES = (
    (
        "subsets",
        "Subsets, with the pairs of copies within each",
        """
SELECT
    s.subset, s."rows", s.images, s.images_unreadable AS unreadable,
    s.images - s.images_unreadable - s.images_unique AS "exact copies",
    (SELECT count(*) FROM duplicates p
        WHERE NOT p.exact AND p.subset_a = s.subset AND p.subset_b = s.subset) AS "near duplicates",
    round(d.effective_rank, 1) AS "effective rank", round(d.score, 3) AS score
FROM subsets s
LEFT JOIN diversity d ON d.subset = s.subset AND d.scope = 'subset' AND d.centered
ORDER BY s.subset
""",
    ),
    (
        "contamination",
        "Images that are also in a benchmark, confirmed and by similarity (FineVision's threshold is 0.95)",
        """
SELECT subset, benchmark, if(rule = 'confirmed', rule, '>= ' || threshold) AS rule,
    images_contaminated AS contaminated, benchmark_images_leaked AS leaked,
    round(100 * rate, 2) AS "rate %", round(100 * ci_low, 2) AS "from %", round(100 * ci_high, 2) AS "to %"
FROM contamination_rates
WHERE benchmark <> 'ALL' AND (rule = 'confirmed' OR threshold IN (0.75, 0.95)) AND images_contaminated > 0
ORDER BY contamination_rates.rule, threshold DESC, rate DESC, subset, benchmark LIMIT 20
""",
    ),
    (
        "dropped_rows",
        "Rows that the clean copy drops",
        """
SELECT subset, reason, count(*) AS "rows" FROM dropped_rows GROUP BY ALL ORDER BY ALL
""",
    ),
)


#: Tables of a subset that follow the text in images: verdicts, and the page that shows them.
HEED_TEXTS = (LakeTable.VERIFIED_DUPLICATES, LakeTable.VERIFIED_CONTAMINATION, LakeTable.DUPLICATES_REPORT)


@dataclass(frozen=True)
class Outcome:
    """Result of a run."""

    name: str
    succeeded: bool
    seconds: float
    detail: str

    def line(self) -> str:
        """Return the outcome as one line."""
        return f"{'done  ' if self.succeeded else 'FAILED'} {self.name}  {self.seconds:.1f} s  {self.detail}"


@contextmanager
def _state_errors() -> Iterator[None]:
    """Turn an error of Dagster's database, as on a full disk, into one line."""
    try:
        yield
    except DatabaseError as error:
        raise VisdivError(
            f"Dagster's own state, in {os.environ['DAGSTER_HOME']}, cannot be read or written ({error.orig}): free "
            "some space or fix the permissions, then start the same command again; finished work is kept"
        ) from error


class Session:
    """A Dagster instance, and the jobs of this code location with the partitions of the source."""

    @_state_errors()
    def __init__(self, settings: Settings) -> None:
        """Open the instance in DAGSTER_HOME, creating it if necessary, and add the source's partitions to it.

        Raises:
            VisdivError: the source or the state cannot be opened.
        """
        self._settings = settings
        self._home = dagster_home(settings)
        prepare_home(self._home)
        try:
            # Two processes that find no tables would both create them.
            with FileLock(self._home / "opening.lock"):
                self.instance = dg.DagsterInstance.get()
        except DatabaseError:
            raise
        except Exception as error:
            raise state.opening_failed(self._home, error) from error
        self._session = sessions.of_this_process(self._home)
        give_origin(self.instance)
        self._end_killed_runs()
        self._definitions = build_definitions(settings)
        add_missing_keys(self.instance, open_source(settings))
        self._thread = StoppableThread()
        self._waiting_for = ""

    def _end_killed_runs(self) -> None:
        """Mark runs whose process was killed as ended, whoever launched them, and free slots of runs that have ended.

        Dagster's daemon waits for their maximum time of days, and `visdiv run` has no daemon.
        """
        for run in state.started_runs(self.instance):
            if not state.was_killed(self._home, self.instance, run):
                continue
            if run.status is dg.DagsterRunStatus.CANCELING:
                self.instance.report_run_canceled(run, "the process that ran it was killed")
            else:
                self.instance.report_run_failed(run, "the process that ran it was killed")
        for run_id in state.ended_holders(self.instance):
            self.instance.event_log_storage.free_concurrency_slots_for_run(run_id)
        sessions.forget_ended(self._home)

    def run(self, benchmarks: Sequence[str], subsets: Sequence[str], *, ocr: bool = False) -> Iterator[Outcome]:
        """Run benchmarks, subsets, ratings of the subsets if there is a judge, and the corpus job.

        Yields:
            an outcome for each.

        Args:
            benchmarks: names of benchmarks.
            subsets: names of subsets.
            ocr: whether text in images of the benchmarks and subsets is read.

        Raises:
            KeyboardInterrupt: a signal has stopped a run; `Stopped` if work may still be in progress.
        """
        yield from self._run_each(BENCHMARK_JOB, benchmarks)
        made = yield from self._run_each(SUBSET_JOB, subsets)
        if ocr:
            yield from self._run_each(BENCHMARK_OCR_JOB, benchmarks)
            yield from self._run_each(OCR_JOB, subsets)
            yield from self._verify_again([*made, *self._newly_read(subsets)])
        if self._settings.judge_url:
            yield from self._rate_each(subsets)
        outcome = self._run_corpus()
        if not outcome.succeeded and (damaged := self._damaged_partitions()):
            logger.warning("%s: damaged results are made again", outcome.detail)
            benchmarks, subsets = damaged
            yield from self._run_each(BENCHMARK_JOB, benchmarks)
            yield from self._run_each(SUBSET_JOB, subsets)
            outcome = self._run_corpus()
        yield outcome

    def _run_each(self, job: str, names: Sequence[str]) -> Generator[Outcome, None, list[str]]:
        """Run a job for each subset or benchmark, yield the outcomes, and return the names of those that succeeded."""
        succeeded = []
        reads = job in (OCR_JOB, BENCHMARK_OCR_JOB)
        what = "benchmark" if job in (BENCHMARK_JOB, BENCHMARK_OCR_JOB) else "subset"
        what = f"text in images of {what}" if reads else what
        for index, name in enumerate(names):
            with heading(f"{what} {index + 1} of {len(names)}"):
                # A subset has an outcome of its own for each job.
                outcome = self._run(job, f"text in images of {name}" if reads else name, partition=name)
            if outcome.succeeded:
                succeeded.append(name)
            yield outcome
        return succeeded

    def _newly_read(self, besides: Sequence[str]) -> list[str]:
        """Return other subsets whose verdicts change with text that was read, as that of benchmarks."""
        lake, source = open_lake(self._settings), open_source(self._settings)
        read = [name for name in newly_read_subsets(lake, self._settings.decoding) if name not in besides]
        # The images of a subset whose files have changed cannot be read as they were.
        unchanged = {*source.subsets()} - {*changed_subsets(source, lake)} if read else set()
        return [name for name in read if name in unchanged]

    def _verify_again(self, subsets: Sequence[str]) -> Iterator[Outcome]:
        """Let the text that was read correct the verdicts of each subset. Yield an outcome only where that fails."""
        for index, subset in enumerate(subsets):
            with heading(f"verdicts with text of subset {index + 1} of {len(subsets)}"):
                outcome = self._run(SUBSET_JOB, f"verdicts of {subset}", partition=subset, only=HEED_TEXTS)
            if not outcome.succeeded:
                yield outcome

    def _rate_each(self, subsets: Sequence[str]) -> Iterator[Outcome]:
        """Ask the judge about each subset, and apply the quality thresholds to its ratings."""
        for index, subset in enumerate(subsets):
            with heading(f"ratings of subset {index + 1} of {len(subsets)}"):
                outcome = self._run(JUDGE_JOB, f"ratings of {subset}", partition=subset)
                applied = self._run(SUBSET_JOB, f"quality of {subset}", partition=subset, only=[LakeTable.QUALITY_ROWS])
            yield outcome
            if not applied.succeeded:
                yield applied

    def _run_corpus(self) -> Outcome:
        name = "all subsets together"
        with heading(name):
            return self._run(CORPUS_JOB, name, partition=None)

    def _damaged_partitions(self) -> tuple[list[str], list[str]] | None:
        """Return the benchmarks and subsets of which files are damaged; None if no file of the lake is."""
        partitions = {damage.partition for damage in find_damage(open_lake(self._settings))}
        source = open_source(self._settings)
        held = source.benchmarks(), source.subsets()
        benchmarks, subsets = ([name for name in names if name in partitions] for names in held)
        return (benchmarks, subsets) if partitions else None

    @_state_errors()
    def _run(self, job: str, name: str, *, partition: str | None, only: Sequence[str] = ()) -> Outcome:
        begin = time.monotonic()
        run_id = str(uuid.uuid4())
        with open_event_log(self.instance):
            result = self._thread.run(
                lambda: self._definitions.resolve_job_def(job).execute_in_process(
                    instance=self.instance,
                    partition_key=partition,
                    tags={sessions.TAG: self._session.name, **TAGS},
                    raise_on_error=False,
                    asset_selection=[dg.AssetKey(table) for table in only] or None,
                    # The terminal shows progress and outcomes; the log is in the UI.
                    run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
                    run_id=run_id,
                ),
                watch=lambda: self._name_holders(run_id),
                stopped=lambda: self._cancel(run_id),
            )
        seconds = time.monotonic() - begin
        # `visdiv run --plan` estimates the memory of later runs from it.
        self.instance.add_run_tags(result.run_id, {PEAK_TAG: str(peak_bytes())})
        if not result.success:
            raise_interrupt(result)
            failures = (event for event in result.all_events if event.is_step_failure)
            return Outcome(name, False, seconds, failure_cause(failures) or "see the run in `visdiv ui`")
        return Outcome(name, True, seconds, _summarize(result))

    def _name_holders(self, run_id: str) -> None:
        """Log which runs hold the slots that a run waits for, whenever that changes; end them if they were killed."""
        try:
            held = state.holders(self.instance, run_id)
            if held:
                self._end_killed_runs()
        except DatabaseError:
            return  # The run itself reports it, if it lasts.
        if held and held != self._waiting_for:
            logger.warning("%s", held)
        self._waiting_for = held

    def _cancel(self, run_id: str) -> None:
        """Mark a run as canceled, and free its slots in the concurrency pools."""
        run = self.instance.get_run_by_id(run_id)
        if run and not run.is_finished:
            self.instance.report_run_canceled(run, "a signal has stopped `visdiv run`")
        self.instance.event_log_storage.free_concurrency_slots_for_run(run_id)


#: The folder of this package; in a wheel it has dagster.yaml.
PACKAGE = Path(__file__).parents[1]


def prepare_home(home: Path) -> None:
    """Make a folder DAGSTER_HOME: copy this program's dagster.yaml into it, unless the user has put one there.

    The project's dagster.yaml, in the working directory or beside the package, is copied again whenever it differs,
    since users edit that one.
    """
    target = home / "dagster.yaml"
    given_by_user = "DAGSTER_HOME" in os.environ and target.is_file()
    origin = next(
        (path for folder in (Path.cwd(), PACKAGE, PACKAGE.parent) if (path := folder / "dagster.yaml").is_file()),
        None,
    )
    if origin is None:
        raise VisdivError("dagster.yaml is missing from this installation: install visdiv-assets again")
    content = origin.read_bytes()
    if not given_by_user and (not target.is_file() or target.read_bytes() != content):
        try:
            with replace_local(target) as stream:
                stream.write(content)
        except OSError as error:
            raise VisdivError(
                f"cannot write {home}: {error.strerror}; set VISDIV_DATA (VISDIV_LOCAL_DATA where that is on object "
                "storage) to a folder that can be written"
            ) from error
    os.environ["DAGSTER_HOME"] = str(home)


def _summarize(result: dg.ExecuteInProcessResult) -> str:
    """Describe in one line what a run did."""
    metadata = {
        event.asset_key.to_user_string(): event.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }
    if LakeTable.JUDGE_RATINGS in metadata:
        return _summarize_ratings({name: found.value for name, found in metadata[LakeTable.JUDGE_RATINGS].items()})
    if "warehouse" in metadata:
        curated = metadata[LakeTable.CURATED_ROWS]
        kept, rows = curated["rows_kept"].value, curated["rows"].value
        return f"the clean copy keeps {kept:,} of {rows:,} rows; DuckDB file published"
    if read := metadata.get(LakeTable.IMAGE_TEXTS) or metadata.get(LakeTable.BENCHMARK_IMAGE_TEXTS):
        # Where no image could be read, it is not known how many have text.
        with_text = f", {read['images_with_text'].value} with text" if "images_with_text" in read else ""
        return f"{several(int(str(read['images_read'].value)), 'image')} read{with_text}"
    if set(metadata) == {LakeTable.QUALITY_ROWS}:
        return "quality thresholds applied"
    if set(metadata) == set(HEED_TEXTS):
        return "pairs whose texts differ are rejected"
    embeddings = metadata.get(LakeTable.SSCD_EMBEDDINGS) or metadata[LakeTable.BENCHMARK_EMBEDDINGS]
    embedded = int(str(embeddings["images_embedded"].value))
    parts = ["nothing to embed"]
    if embedded:
        rate = float(str(embeddings["images_per_second"].value))
        parts = [f"{several(embedded, 'image')} embedded, {rate:.1f} per second"]
    texts = metadata.get(CONTENT[Kind.SUBSET].texts, {}).get(NOT_READ)
    if texts is not None and texts.value:
        parts.append(f"warning: {texts.value} texts or ratings not read; `visdiv doctor` names the columns")
    return ", ".join(parts)


def _summarize_ratings(found: dict[str, Any]) -> str:
    parts = [
        f"{found['turns_rated']} of {found['turns']} turns rated by {found['model']}",
        f"{several(found['requests'], 'request')}, {found['tokens_in']} tokens in, {found['tokens_out']} out",
    ]
    if found["turns_suspected"]:
        suspected = several(found["turns_suspected"], "turn seems", "turns seem")
        parts.append(f"warning: {suspected} to address the judge (judge_ratings)")
    if found["questions_open"] or found["shards_left"]:
        left = f" and {several(found['shards_left'], 'file')}" if found["shards_left"] else ""
        parts.append(
            f"warning: {several(found['questions_open'], 'question')}{left} are left: the same command asks them"
        )
    return ", ".join(parts)
