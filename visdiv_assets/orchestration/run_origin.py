"""The origin of runs that are not launched in the UI.

The UI leaves a run without an origin out of its timeline and out of the page of its job.
"""

from __future__ import annotations

from typing import Any

import dagster as dg
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

#: The module of the definitions, after which `visdiv ui` and workspace.yaml name the code location.
DEFINITIONS = "visdiv_assets.definitions"

_REPOSITORY = RemoteRepositoryOrigin(
    code_location_origin=RegisteredCodeLocationOrigin(location_name=DEFINITIONS),
    repository_name=SINGLETON_REPOSITORY_NAME,
)

#: Tags of such a run: the daemon must not start it again, since the user decides in the shell.
TAGS = {"dagster/max_retries": "0"}


def give_origin(instance: dg.DagsterInstance) -> None:
    """Make runs that this process executes with an instance appear in the UI like those that are launched there."""
    create = instance.create_run_for_job

    def create_with_origin(*, job_def: dg.JobDefinition, **options: Any) -> dg.DagsterRun:
        origin = RemoteJobOrigin(repository_origin=_REPOSITORY, job_name=job_def.name)
        return create(job_def=job_def, remote_job_origin=origin, **options)

    vars(instance)["create_run_for_job"] = create_with_origin
