"""The units of work of a partition: finished ones are reused, the engine makes the others."""

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any, NamedTuple, TypeVar

from visdiv_assets.orchestration.engines import Engine, Work
from visdiv_assets.progress import Progress, silent
from visdiv_assets.storage.partition_write import PartitionWrite, UnitWrite

Unit = TypeVar("Unit")
Result = TypeVar("Result")


class Late(NamedTuple):
    """A unit that is made when an engine asks for it, so that it can depend on what was found before.

    Attributes:
        make: makes the unit.
    """

    make: Callable[[], Any]


class Planned(NamedTuple):
    """A unit of work.

    Attributes:
        name: of the unit in the lake.
        inputs: digests of what it is made from.
        unit: the argument of the work, or a `Late` one.
    """

    name: str
    inputs: dict[str, str]
    unit: Any


class _Units(Sequence[Any]):
    """The units of planned work; a late one is made at each access."""

    def __init__(self, planned: Sequence[Planned]) -> None:
        self._planned = planned

    def __len__(self) -> int:
        return len(self._planned)

    def __getitem__(self, index: Any) -> Any:
        unit = self._planned[index].unit
        return unit.make() if isinstance(unit, Late) else unit


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
            advance(work.size(_Units([each])[0]))
        else:
            missing.append(each)
    left = len(missing)
    if left:
        # Before the work, too: on a full disk no unit should be started.
        write.require_space()
    with closing(engine.map(work, _Units(missing), advance)) as results:
        for index, result in results:
            made = missing[index]
            with write.add(made.name, made.inputs) as unit:
                store(unit, made.unit, result)
            left -= 1
            if left:
                write.require_space()
    write.arrange(each.name for each in planned)
