"""Engines that run the units of work of a partition: in this process, in one process per GPU, or on a Ray cluster.

Belongs here: distributing units of work and collecting their results. Does not: what a unit is (`orchestration.work`,
the same for every engine), the lake, Dagster, models.
"""

from visdiv_assets.orchestration.engines.interface import Engine, PerProcess, Work, Worker
from visdiv_assets.orchestration.engines.local import LocalEngine
from visdiv_assets.orchestration.engines.processes import ProcessEngine
from visdiv_assets.orchestration.engines.ray import RayEngine

__all__ = ["Engine", "LocalEngine", "PerProcess", "ProcessEngine", "RayEngine", "Work", "Worker"]
