"""Units of work of a partition: those that are there are found again, the engine makes the others."""

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
        unit: what the work is done to.
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
    """Bring a partition's units about, in their order, whichever are there already and whichever come first.

    Args:
        write: the partition.
        engine: does the work; only this process writes.
        work: what is done to each unit.
        planned: the units.
        store: writes the files of one unit.
        advance: told of what is done, as `work.size` counts it.

    Raises:
        VisdivError: as the work raises it; or the disk is full. What was finished by then is kept.
    """
    missing: list[Planned] = []
    for each in planned:
        if write.reuse(each.name, each.inputs):
            advance(work.size(each.unit))
        else:
            missing.append(each)
    left = len(missing)
    if left:
        # Not only before a unit is written: on a full disk none should be begun.
        write.require_space()
    with closing(engine.map(work, [each.unit for each in missing], advance)) as results:
        for number, result in results:
            made = missing[number]
            with write.add(made.name, made.inputs) as unit:
                store(unit, made.unit, result)
            left -= 1
            if left:
                write.require_space()
    write.arrange(each.name for each in planned)
