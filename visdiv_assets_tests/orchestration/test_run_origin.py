"""Runs of the shell appear in the UI like those that are launched there."""

from __future__ import annotations

import dagster as dg

from visdiv_assets.orchestration.run_origin import DEFINITIONS, give_origin
from visdiv_assets_tests.conftest import QUIET


def test_a_run_of_the_shell_belongs_to_the_code_location() -> None:
    @dg.op
    def nothing() -> None: ...

    @dg.job
    def some_job() -> None:
        nothing()

    instance = dg.DagsterInstance.ephemeral()
    give_origin(instance)
    result = some_job.execute_in_process(instance=instance, run_config=QUIET)
    run = instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.remote_job_origin is not None
    assert run.remote_job_origin.job_name == "some_job"
    # The UI finds the runs of a job by this tag.
    assert run.tags_for_storage()[".dagster/repository"] == f"__repository__@{DEFINITIONS}"
