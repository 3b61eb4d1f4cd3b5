"""Run Dagster jobs in this process, on the state that the UI shows."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from filelock import FileLock
from sqlalchemy.exc import DatabaseError

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration import sessions, state
from visdiv_assets.orchestration.automation import BENCHMARK_JOB, CORPUS_JOB, SUBSET_JOB, failure_cause
from visdiv_assets.orchestration.code_location import build_definitions
from visdiv_assets.orchestration.partitions import add_missing_keys
from visdiv_assets.settings import Settings, dagster_home
from visdiv_assets.storage.files import replace_local
from visdiv_assets.wiring import open_source

#: Tables that `visdiv run` prints at its end: a title, and SQL on the published DuckDB file.
SUMMARIES = (
    (
        "Subsets",
        """
SELECT
    s.subset, s."rows", s.images, s.images_unique AS "unique", s.images_unreadable AS unreadable,
    s.images - s.images_unreadable - s.images_unique AS exact_copies,
    (SELECT count(*) FROM close_pair_positions p
        WHERE NOT p.exact AND p.subset_a = s.subset AND p.subset_b = s.subset) AS close_pairs,
    round(d.effective_rank, 1) AS effective_rank, round(d.participation_ratio, 1) AS participation_ratio,
    round(d.score, 3) AS score
FROM subsets s
LEFT JOIN diversity d ON d.subset = s.subset AND d.scope = 'subset' AND d.centered
ORDER BY s.subset
""",
    ),
    (
        "Images that are also in a benchmark, by pixels and by similarity (FineVision's threshold is 0.95)",
        """
SELECT subset, benchmark, rule, threshold, images, images_contaminated AS contaminated,
    benchmark_images_leaked AS leaked,
    round(100 * rate, 2) AS "rate %", round(100 * ci_low, 2) AS "from %", round(100 * ci_high, 2) AS "to %"
FROM contamination_rates
WHERE benchmark <> 'ALL' AND (rule = 'confirmed' OR threshold IN (0.75, 0.95)) AND images_contaminated > 0
ORDER BY rule, threshold DESC, rate DESC, subset, benchmark LIMIT 20
""",
    ),
    (
        "Rows that the clean copy drops",
        """
SELECT subset, reason, count(*) AS "rows" FROM dropped_rows GROUP BY ALL ORDER BY ALL
""",
    ),
)


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
        self._home = dagster_home(settings)
        # Dagster shows warnings, such as what a run waits for, in its UI only. This handler writes them to stderr.
        if logging.lastResort:
            logging.getLogger("visdiv_assets").addHandler(logging.lastResort)
        prepare_home(self._home)
        try:
            # Two processes that find no tables would both create them.
            with FileLock(self._home / "opening.lock"):
                self.instance = dg.DagsterInstance.get()
        except DatabaseError:
            raise
        except Exception as error:
            raise state.opening_failed(self._home, error) from error
        self._session = sessions.Session(self._home)
        self._end_killed_runs()
        self._definitions = build_definitions(settings)
        add_missing_keys(self.instance, open_source(settings))

    def _end_killed_runs(self) -> None:
        """Mark runs whose process was killed as failed, and free their slots in the concurrency pools.

        Dagster's daemon does so for runs that it started. `visdiv run` has no daemon, so the next run would wait for
        the slot forever.
        """
        running = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED])
        for run in self.instance.get_runs(running):
            session = run.tags.get(sessions.TAG)
            if session and sessions.has_ended(self._home, session):
                self.instance.report_run_failed(run, "the process that ran it was killed")
                self.instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        sessions.forget_ended(self._home)

    def run(self, benchmarks: Sequence[str], subsets: Sequence[str]) -> Iterator[Outcome]:
        """Run benchmarks, then subsets, then the corpus job; yield an outcome for each."""
        yield from (self.run_benchmark(benchmark) for benchmark in benchmarks)
        yield from (self.run_subset(subset) for subset in subsets)
        yield self.run_corpus()

    def run_subset(self, subset: str) -> Outcome:
        """Run all stages of one subset."""
        return self._run(SUBSET_JOB, subset)

    def run_benchmark(self, benchmark: str) -> Outcome:
        """Run all stages of one benchmark."""
        return self._run(BENCHMARK_JOB, benchmark)

    def run_corpus(self) -> Outcome:
        """Run the stages that combine all subsets, and publish the DuckDB file."""
        return self._run(CORPUS_JOB, None)

    @_state_errors()
    def _run(self, job: str, partition: str | None) -> Outcome:
        begin = time.monotonic()
        result = self._definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            partition_key=partition,
            tags={sessions.TAG: self._session.name},
            raise_on_error=False,
            # The terminal shows progress and outcomes; the log is in the UI.
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        seconds = time.monotonic() - begin
        name = partition or "all subsets together"
        if not result.success:
            failures = (event for event in result.all_events if event.is_step_failure)
            return Outcome(name, False, seconds, failure_cause(failures) or "see the run in `visdiv ui`")
        return Outcome(name, True, seconds, _summarize(result))


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
    if "warehouse" in metadata:
        curated = metadata[LakeTable.CURATED_ROWS]
        kept, rows = curated["rows_kept"].value, curated["rows"].value
        return f"the clean copy keeps {kept} of {rows} rows; DuckDB file published"
    embeddings = metadata.get(LakeTable.SSCD_EMBEDDINGS) or metadata[LakeTable.BENCHMARK_EMBEDDINGS]
    embedded = int(str(embeddings["images_embedded"].value))
    if not embedded:
        return "nothing to embed"
    rate = float(str(embeddings["images_per_second"].value))
    return f"{embedded} images embedded, {rate:.1f} per second"
