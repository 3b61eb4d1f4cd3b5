"""Dagster's state, looked at without a session: which runs are under way, and the checks of `visdiv doctor`.

Belongs here: reading the instance in DAGSTER_HOME. Does not: running or ending anything, which is `runs`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import dagster as dg

from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration import sessions
from visdiv_assets.orchestration.doctor import Check, Verdict, ok, problem, warning

#: Pools of the assets.
POOLS = ("gpu", "warehouse")
#: Runs at a time that SQLite is good for.
SQLITE_RUNS = 4

_UNDER_WAY = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
_NOT_SET = re.compile(r'the environment variable "(\w+)" which is not set')


@contextmanager
def open_instance(home: Path) -> Iterator[dg.DagsterInstance | None]:
    """The instance whose home a folder is; None if there is none yet.

    Raises:
        VisdivError: it cannot be opened.
    """
    if not (home / "dagster.yaml").is_file():
        yield None
        return
    # A database that is away is told five times on the way to the error.
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
    """The one line for a state that cannot be opened, whose exceptions have no common base and are many lines long."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    text = "\n".join([str(cause), *(part.message for part in getattr(cause, "errors", []))])
    if missing := _NOT_SET.findall(text):
        reason = f"{', '.join(dict.fromkeys(missing))} is not set"
    else:
        told = getattr(cause, "errors", [])
        reason = (told[0].message if told else str(cause)).partition(" Expected:")[0].strip() or type(cause).__name__
        reason = " ".join(reason.splitlines()[:2])
    return VisdivError(
        f"Dagster's state in {home} cannot be opened ({reason}): mend {home / 'dagster.yaml'}, or what it names"
    )


def runs_under_way(home: Path) -> list[str]:
    """Runs that have started and not ended, one line each; those whose process was killed aside.

    Raises:
        VisdivError: the state cannot be opened.
    """
    with open_instance(home) as instance:
        if instance is None:
            return []
        return [_line(run) for run in _runs(instance) if not _was_killed(home, run)]


def checks(home: Path) -> Iterator[tuple[str, Check]]:
    """The checks of the state in a folder, to be made as they come: the instance is open meanwhile."""
    try:
        with open_instance(home) as instance:
            if instance is None:
                yield "state", partial(ok, f"{home}: none yet, the first run makes it")
                return
            yield "state", partial(check_state, home, instance)
            yield "daemon", partial(check_daemon, instance)
            yield "runs", partial(check_runs, home, instance)
            yield "pools", partial(check_pools, home, instance)
    except VisdivError as error:
        yield "state", partial(problem, str(error))


def check_state(home: Path, instance: dg.DagsterInstance) -> Verdict:
    """Whether the state is in the schema of the installed Dagster, in a database that is good for its runs."""
    storages = (instance.run_storage, instance.event_log_storage, instance.schedule_storage)
    versions = [storage.alembic_version() for storage in storages if storage]
    if any(version and version[0] != version[1] for version in versions):
        return problem(
            f"the state in {home} is in the schema of another version of Dagster: keep a copy of it, then run "
            f"`DAGSTER_HOME={home} dagster instance migrate`"
        )
    kind = type(instance.run_storage).__name__.removesuffix("RunStorage")
    queue = instance.get_concurrency_config().run_queue_config
    at_once = queue.max_concurrent_runs if queue else 1
    if kind == "Sqlite" and not 0 <= at_once <= SQLITE_RUNS:
        return warning(
            f"{home}: {at_once} runs at a time are allowed, and SQLite is good for {SQLITE_RUNS}: use PostgreSQL "
            "(docs/postgres), or set max_concurrent_runs lower in dagster.yaml"
        )
    return ok(f"{home}: {kind}, {instance.get_runs_count()} runs, its schema is current, {at_once} runs at a time")


def check_daemon(instance: dg.DagsterInstance) -> Verdict:
    """Whether Dagster's daemon runs, which runs of the shell do not need."""
    required = {name: status for name, status in instance.get_daemon_statuses().items() if status.required}
    dead = sorted(name for name, status in required.items() if not status.healthy)
    if dead == sorted(required):
        return warning(
            "it does not run: `visdiv run` works, but schedules, sensors, backfills and runs launched in the UI wait "
            "until `visdiv ui` or `dagster-daemon run` is started"
        )
    if dead:
        return warning(f"it runs, but without a sign of life of {', '.join(dead)}: start it again")
    return ok("it runs")


def check_runs(home: Path, instance: dg.DagsterInstance) -> Verdict:
    """Whether there are runs that count as started, but whose process was killed."""
    runs = _runs(instance)
    killed = [_line(run) for run in runs if _was_killed(home, run)]
    if killed:
        return warning(
            f"{len(killed)} killed, but still marked as started ({', '.join(killed)}): the next `visdiv run` marks "
            "them as failed, and goes on from what they finished"
        )
    return ok(f"{len(runs)} under way, none killed")


def check_pools(home: Path, instance: dg.DagsterInstance) -> Verdict:
    """How many runs at a time may use a GPU, or publish, and whether runs that have ended hold places."""
    infos = [instance.event_log_storage.get_concurrency_info(pool) for pool in POOLS]
    unlimited = [info.concurrency_key for info in infos if info.limit is None]
    if unlimited:
        return warning(
            f"no limit for {', '.join(unlimited)}, so runs share a GPU's memory: set concurrency, pools, default_limit "
            f"in {home / 'dagster.yaml'} to 1"
        )
    holding = {slot.run_id for info in infos for slot in info.claimed_slots}
    ended = sorted(run_id[:8] for run_id in holding if _has_ended(instance, run_id))
    if ended:
        return warning(
            f"runs that have ended still hold a place ({', '.join(ended)}), so others wait: the daemon, which "
            "`visdiv ui` starts, frees it after a minute"
        )
    limits = ", ".join(f"{info.concurrency_key} {info.limit}" for info in infos)
    return ok(f"{limits} at a time; `dagster instance concurrency set gpu 2` allows two")


def _runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    return list(instance.get_runs(dg.RunsFilter(statuses=_UNDER_WAY)))


def _was_killed(home: Path, run: dg.DagsterRun) -> bool:
    session = run.tags.get(sessions.TAG)
    return session is not None and sessions.has_ended(home, session)


def _has_ended(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is None or run.is_finished


def _line(run: dg.DagsterRun) -> str:
    partition = run.tags.get("dagster/partition")
    return f"{run.job_name} of {partition}" if partition else run.job_name
