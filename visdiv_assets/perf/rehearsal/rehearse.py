"""One rehearsal: making the lake, running every stage on it, and looking for what was planted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from visdiv_assets.errors import VisdivError
from visdiv_assets.perf.rehearsal.checking import check
from visdiv_assets.perf.rehearsal.cost import Rates
from visdiv_assets.perf.rehearsal.making import make_lake
from visdiv_assets.perf.rehearsal.plan import Plan
from visdiv_assets.perf.rehearsal.questions import Answered, ask
from visdiv_assets.perf.rehearsal.shape import Shape
from visdiv_assets.perf.rehearsal.stages import STAGES, Materialize, Outcome, run_stage, written
from visdiv_assets.progress import progress
from visdiv_assets.settings import Settings
from visdiv_assets.storage.disk_space import GIGABYTE, reserve_on, space_of
from visdiv_assets.storage.lake import Lake

#: Bytes on the disk for each image position, and for the benchmarks and the many small files of pairs of subsets.
BYTES_OF_AN_IMAGE, BYTES_OF_THE_REST = 5_000, 2 * GIGABYTE


@dataclass
class Rehearsal:
    """What rehearsals of one or more sizes cost and found, and the rates of the machine if they were measured."""

    outcomes: list[Outcome] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)
    rates: Rates | None = None

    def __add__(self, other: Rehearsal) -> Rehearsal:
        """Both together; where both measured rates, or one size, those of the other count."""
        again = set(other.sizes())
        return Rehearsal(
            [one for one in self.outcomes if one.images not in again] + other.outcomes,
            [one for one in self.answers if one.images not in again] + other.answers,
            other.rates or self.rates,
        )

    def sizes(self) -> list[int]:
        """Image positions of the rehearsals, ascending."""
        return sorted({outcome.images for outcome in self.outcomes})

    def missing(self) -> list[str]:
        """A line for each stage that did not find all that was planted for it."""
        return [
            f"{outcome.stage} of {outcome.images:,} images found {outcome.found:,} of {outcome.planted:,}"
            for outcome in self.outcomes
            if outcome.found is not None and outcome.planted is not None and outcome.found < outcome.planted
        ]

    def row(self) -> dict[str, Any]:
        """All figures, for a JSON file."""
        return {
            "outcomes": [outcome.row() for outcome in self.outcomes],
            "answers": [answered.row() for answered in self.answers],
            "rates": self.rates.row() if self.rates else None,
        }


def read_rehearsal(path: Path) -> Rehearsal:
    """What `visdiv perf --rehearse N --json FILE` wrote.

    Raises:
        VisdivError: it is not such a file.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))["rehearsal"]
        return Rehearsal(
            [Outcome(**row) for row in stored["outcomes"]],
            [Answered(**row) for row in stored["answers"]],
            Rates(**stored["rates"]) if stored["rates"] else None,
        )
    except OSError as error:
        raise VisdivError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise VisdivError(f"{path} was not written by `visdiv perf --rehearse N --json FILE`: {error}") from None


def require_room(folder: Path, images: int, reserve_gigabytes: float) -> None:
    """Refuse to begin where the disk has too little room for a rehearsal.

    Raises:
        VisdivError: less is free.
    """
    needed = images * BYTES_OF_AN_IMAGE + BYTES_OF_THE_REST
    space = space_of(folder)
    free = space.free - reserve_on(space, round(reserve_gigabytes * GIGABYTE))
    if free < needed:
        raise VisdivError(
            f"a rehearsal of {images:,} images needs {needed / GIGABYTE:,.0f} GB in {folder}, where "
            f"{max(free, 0) / GIGABYTE:.1f} GB are free beyond the reserve: free some space, or name another folder "
            "with --folder"
        )


def rehearse(
    plan: Plan,
    shape: Shape,
    folder: Path,
    materialize: Materialize,
    *,
    settings: Settings | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Rehearsal:
    """Make a lake in an empty folder and run all stages on it.

    Args:
        plan: what the lake holds.
        shape: of the vectors.
        folder: for everything that is written; what is in it stays.
        materialize: runs an asset.
        settings: of the stages, but for the places; those that are set in the environment have no say.
        say: told a line whenever something is finished.
    """
    settings = (settings or Settings()).model_copy(
        update={"source": str(folder / "source"), "data": str(folder / "data"), "copies_by": "similarity"}
    )
    begin = time.perf_counter()
    with progress(f"making {plan.images:,} images", _positions(plan), "image") as advance:
        planted = make_lake(Lake(settings.lake_root), folder / "source", plan, shape, progress=advance)
    # For whoever keeps the folder.
    pq.write_table(planted, folder / "planted.parquet")
    say(f"{plan.images:,} images made in {time.perf_counter() - begin:,.0f} s, {planted.num_rows:,} pairs planted")
    subsets = [subset.name for subset in plan.subsets]
    outcomes = []
    for stage in STAGES:
        run = run_stage(materialize, settings, stage, subsets)
        found = check(stage.asset, settings, planted)
        outcome = Outcome(
            stage.name,
            plan.images,
            run.seconds,
            run.peak_mb,
            *written(settings, stage),
            found.planted if found else None,
            found.found if found else None,
        )
        outcomes.append(outcome)
        say(_line(outcome))
    return Rehearsal(outcomes, ask(Path(settings.warehouse_path), plan.images))


def _positions(plan: Plan) -> int:
    return sum(of_set.images for of_set in (*plan.subsets, *plan.benchmarks))


def _line(outcome: Outcome) -> str:
    peak = "" if outcome.peak_mb is None else f", {outcome.peak_mb:,.0f} MB"
    found = "" if outcome.found is None else f", {outcome.found:,} of {outcome.planted:,} planted pairs"
    return f"{outcome.images:,}: {outcome.stage}: {outcome.seconds:,.1f} s{peak}{found}"


def stages_of(outcomes: Sequence[Outcome], stage: str) -> list[Outcome]:
    """The outcomes of one stage, by size."""
    return sorted((outcome for outcome in outcomes if outcome.stage == stage), key=lambda outcome: outcome.images)
