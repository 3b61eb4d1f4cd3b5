"""Read Dagster's state in DAGSTER_HOME: active runs, and the checks of `visdiv doctor`.

Nothing here starts or ends a run; see `runs`.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import dagster as dg
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._core.storage.runs.sqlite import SqliteRunStorage
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._daemon.controller import get_daemon_statuses
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import CanCancelExecutionRequest, CanCancelExecutionResult
from dagster._serdes import deserialize_value

from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration import sessions
from visdiv_assets.orchestration.doctor import Check, Verdict, ok, problem, warning

#: Concurrency pools of the assets.
POOLS = ("gpu", "warehouse")
#: Maximum number of simultaneous runs with SQLite.
MAX_SQLITE_RUNS = 4

#: Seconds by which a heartbeat of the daemon, due every 30 seconds, may be late.
_HEARTBEAT_TOLERANCE_SECONDS = 60.0

#: Seconds in which a code server answers.
_ANSWER_SECONDS = 5

_ACTIVE = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_NOT_SET = re.compile(r'the environment variable "(\w+)" which is not set')


@contextmanager
def open_instance(home: Path) -> Iterator[dg.DagsterInstance | None]:
    """Open the Dagster instance in a folder; None if there is none yet.

    Raises:
        VisdivError: it cannot be opened.
    """
    if not (home / "dagster.yaml").is_file():
        yield None
        return
    # Dagster logs an unreachable database five times; silence it.
    logging.disable(logging.WARNING)
    try:
        instance = dg.DagsterInstance.from_config(str(home))
    except Exception as error:
        raise opening_failed(home, error) from error
    finally:
        logging.disable(logging.NOTSET)
    with instance:
        yield instance


def opening_failed(home: Path, error: Exception) -> VisdivError:
    """Return the error for a state that cannot be opened, from an exception of any type with a text of many lines."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    text = "\n".join([str(cause), *(part.message for part in getattr(cause, "errors", []))])
    if missing := _NOT_SET.findall(text):
        reason = f"{', '.join(dict.fromkeys(missing))} is not set"
    else:
        details = getattr(cause, "errors", [])
        reason = (details[0].message if details else str(cause)).partition(" Expected:")[0].strip() or type(
            cause
        ).__name__
        reason = " ".join(reason.splitlines()[:2])
    return VisdivError(
        f"Dagster's state in {home} cannot be opened ({reason}): fix {home / 'dagster.yaml'} or the storage it names"
    )


def active_runs(home: Path) -> list[str]:
    """Return a line for each run that has started and not ended, except those whose process was killed.

    Raises:
        VisdivError: the state cannot be opened.
    """
    with open_instance(home) as instance:
        if instance is None:
            return []
        return [_describe(run) for run in started_runs(instance) if not was_killed(home, instance, run)]


def checks(home: Path) -> Iterator[tuple[str, Check]]:
    """Yield the checks of the state in a folder; run each before the next, since the instance closes after the last."""
    try:
        with open_instance(home) as instance:
            if instance is None:
                yield "state", partial(ok, f"{home}: none yet, the first run creates it")
                return
            yield "state", partial(check_state, home, instance)
            yield "daemon", partial(check_daemon, instance)
            yield "runs", partial(check_runs, home, instance)
            yield "pools", partial(check_pools, home, instance)
    except VisdivError as error:
        yield "state", partial(problem, str(error))


def check_state(home: Path, instance: dg.DagsterInstance) -> Verdict:
    """Check that the state has the schema of the installed Dagster and a database for its number of runs."""
    storages = (instance.run_storage, instance.event_log_storage, instance.schedule_storage)
    versions = [storage.alembic_version() for storage in storages if storage]
    if any(version and version[0] != version[1] for version in versions):
        return problem(
            f"the state in {home} has the schema of another version of Dagster: make a backup, then run "
            f"`DAGSTER_HOME={home} dagster instance migrate`"
        )
    kind = type(instance.run_storage).__name__.removesuffix("RunStorage")
    queue = instance.get_concurrency_config().run_queue_config
    at_once = queue.max_concurrent_runs if queue else 1
    if kind == "Sqlite" and not 0 <= at_once <= MAX_SQLITE_RUNS:
        return warning(
            f"{home} allows {at_once} simultaneous runs, but SQLite supports about {MAX_SQLITE_RUNS}: use PostgreSQL "
            "(docs/postgres), or lower max_concurrent_runs in dagster.yaml"
        )
    return ok(
        f"{home}: {kind}, {instance.get_runs_count()} runs, the schema is current, up to {at_once} simultaneous runs"
    )


def check_daemon(instance: dg.DagsterInstance) -> Verdict:
    """Check that Dagster's daemon is running; `visdiv run` does not need it."""
    required = get_daemon_statuses(
        instance, instance.get_required_daemon_types(), heartbeat_tolerance_seconds=_HEARTBEAT_TOLERANCE_SECONDS
    )
    dead = sorted(name for name, status in required.items() if not status.healthy)
    if dead == sorted(required):
        return warning(
            "not running: `visdiv run` works, but schedules, sensors, backfills and runs launched in the UI wait until "
            "`visdiv ui` is started"
        )
    if dead:
        return warning(f"no recent heartbeat from {', '.join(dead)}: restart the daemon with `visdiv ui`")
    return ok("running")


def check_runs(home: Path, instance: dg.DagsterInstance) -> Verdict:
    """Check for runs that are marked as started although their process was killed."""
    runs = started_runs(instance)
    killed = [_describe(run) for run in runs if was_killed(home, instance, run)]
    if killed:
        return warning(
            f"{len(killed)} killed, but still marked as started ({', '.join(killed)}): `visdiv ui` and "
            "`visdiv run --changed` mark them as failed when they start; running their partitions again resumes them"
        )
    return ok(f"{len(runs)} in progress, none killed")


def check_pools(home: Path, instance: dg.DagsterInstance) -> Verdict:
    """Check the limits of the concurrency pools, and that no slot is held by a run that has ended."""
    infos = [instance.event_log_storage.get_concurrency_info(pool) for pool in POOLS]
    unlimited = [info.concurrency_key for info in infos if info.limit is None]
    if unlimited:
        return warning(
            f"no limit for {', '.join(unlimited)}, so simultaneous runs may exhaust a GPU's memory: set "
            f"concurrency.pools.default_limit in {home / 'dagster.yaml'} to 1"
        )
    ended = sorted(run_id[:8] for run_id in ended_holders(instance))
    if ended:
        return warning(
            f"runs that have ended still hold a slot ({', '.join(ended)}), so others wait: `visdiv ui` and "
            "`visdiv run --changed` free it when they start"
        )
    limits = ", ".join(f"{info.concurrency_key} {info.limit}" for info in infos)
    return ok(f"{limits} at a time; `DAGSTER_HOME={home} dagster instance concurrency set gpu 2` allows two")


def holders(instance: dg.DagsterInstance, run_id: str) -> str:
    """Return a line on the runs that hold the slot which a run waits for; empty if it waits for none."""
    for pool in POOLS:
        info = instance.event_log_storage.get_concurrency_info(pool)
        holding = {slot.run_id for slot in info.claimed_slots}
        if run_id in holding or run_id not in {step.run_id for step in info.pending_steps}:
            continue
        runs = [_describe_holder(instance, each) for each in sorted(holding)]
        if runs:
            return (
                f"waiting for a slot of the pool {pool!r}, which {' and '.join(runs)} "
                f"hold{'s' * (len(runs) == 1)}: it begins when that ends; `visdiv ui` can terminate it"
            )
    return ""


def _describe_holder(instance: dg.DagsterInstance, run_id: str) -> str:
    record = instance.get_run_record_by_id(run_id)
    if record is None:
        return f"the deleted run {run_id[:8]}"
    begin = record.start_time or record.create_timestamp.timestamp()
    since = datetime.fromtimestamp(begin).astimezone().strftime("%Y-%m-%d %H:%M")
    return f"{_describe(record.dagster_run)} (run {run_id[:8]}, since {since})"


def started_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """Return the runs that have started and not ended."""
    return list(instance.get_runs(dg.RunsFilter(statuses=_ACTIVE)))


def was_killed(home: Path, instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Return whether a run that has started and not ended has no process any more.

    A run has a session from its first step on, whoever launched it. A run without one is known to a code server of this
    machine, or else its process is gone, unless runs may be on other machines.
    """
    session = run.tags.get(sessions.TAG)
    if session is not None:
        return sessions.has_ended(home, session)
    here = isinstance(instance.run_storage, SqliteRunStorage) and isinstance(instance.run_launcher, DefaultRunLauncher)
    return here and not _is_known_to_code_server(run)


def _is_known_to_code_server(run: dg.DagsterRun) -> bool:
    if GRPC_INFO_TAG not in run.tags:
        return False
    address = json.loads(run.tags[GRPC_INFO_TAG])
    client = DagsterGrpcClient(port=address.get("port"), socket=address.get("socket"), host=address.get("host"))
    try:
        answer = deserialize_value(
            client.can_cancel_execution(CanCancelExecutionRequest(run_id=run.run_id), timeout=_ANSWER_SECONDS),
            CanCancelExecutionResult,
        )
    except DagsterUserCodeUnreachableError:
        return False
    return answer.can_cancel


def ended_holders(instance: dg.DagsterInstance) -> set[str]:
    """Return the ids of the runs that have ended and hold a slot of a pool."""
    infos = [instance.event_log_storage.get_concurrency_info(pool) for pool in POOLS]
    holding = {slot.run_id for info in infos for slot in info.claimed_slots}
    return {run_id for run_id in holding if _has_ended(instance, run_id)}


def _has_ended(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is None or run.is_finished


def _describe(run: dg.DagsterRun) -> str:
    partition = run.tags.get("dagster/partition")
    return f"{run.job_name} of {partition}" if partition else run.job_name
