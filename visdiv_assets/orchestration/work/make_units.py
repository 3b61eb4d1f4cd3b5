"""The units of work of a partition: finished ones are reused, the engine makes the others."""

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, NamedTuple, TypeVar

from visdiv_assets.orchestration.engines import Engine, Work
from visdiv_assets.progress import Progress, silent
from visdiv_assets.storage.partition_write import PartitionWrite, UnitWrite

Unit = TypeVar("Unit")
Result = TypeVar("Result")


class Planned(NamedTuple):
    """A unit of work.

    Attributes:
        name: of the unit in the lake.
        inputs: digests of what it is made from.
        unit: the argument of the work.
    """

    name: str
    inputs: dict[str, str]
    unit: Any


def make_units(
    write: PartitionWrite,
    engine: Engine,
    work: Work[Unit, Result],
    planned: Sequence[Planned],
    store: Callable[[UnitWrite, Unit, Result], None],
    advance: Progress = silent,
) -> None:
    """Reuse or make all units of a partition, in the planned order, whatever the order in which they finish.

    Args:
        write: the partition.
        engine: runs the work; only this process writes.
        work: makes a unit.
        planned: the units.
        store: writes the files of one unit.
        advance: called with the amount of work finished, as `work.size` counts it.

    Raises:
        VisdivError: raised by the work; or the disk is full. Finished units are kept.
    """
    missing: list[Planned] = []
    for each in planned:
        if write.reuse(each.name, each.inputs):
            advance(work.size(each.unit))
        else:
            missing.append(each)
    left = len(missing)
    if left:
        # Before the work, too: on a full disk no unit should be started.
        write.require_space()
    with closing(engine.map(work, [each.unit for each in missing], advance)) as results:
        for index, result in results:
            made = missing[index]
            with write.add(made.name, made.inputs) as unit:
                store(unit, made.unit, result)
            left -= 1
            if left:
                write.require_space()
    write.arrange(each.name for each in planned)
