"""Where the heavy work of a partition is done: in this process, in one process per GPU, or on a Ray cluster.

Here belongs what hands units of work out and brings their results back. What a unit is, and what is done with it,
belongs to the rooms that do it (`embedders.units`, `search.units`, `search.comparison_units`): the same functions run
in every engine. Nothing here knows the lake, Dagster or a model.
"""

from visdiv_assets.orchestration.engines.interface import Engine, PerProcess, Work, Worker
from visdiv_assets.orchestration.engines.local import LocalEngine
from visdiv_assets.orchestration.engines.processes import ProcessEngine
from visdiv_assets.orchestration.engines.ray import RayEngine

__all__ = ["Engine", "LocalEngine", "PerProcess", "ProcessEngine", "RayEngine", "Work", "Worker"]
