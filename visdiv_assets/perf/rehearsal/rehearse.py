"""One rehearsal: create the lake, run every stage on it, and check that stages find the planted pairs."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from visdiv_assets.errors import StorageError
from visdiv_assets.perf.images.rehearse import ImageRehearsal, from_row
from visdiv_assets.perf.rehearsal.checking import check
from visdiv_assets.perf.rehearsal.making import change_subset, make_lake
from visdiv_assets.perf.rehearsal.plan import Plan
from visdiv_assets.perf.rehearsal.questions import Answered, ask
from visdiv_assets.perf.rehearsal.shape import Shape
from visdiv_assets.perf.rehearsal.stages import (
    NEAR_DUPLICATES,
    STAGES,
    Materialize,
    Outcome,
    output_size,
    run_stage,
)
from visdiv_assets.progress import progress
from visdiv_assets.settings import Settings
from visdiv_assets.storage.lake import Lake


@dataclass
class Rehearsal:
    """Costs and results of rehearsals with vectors, of one or more sizes, and of one with images if there was one."""

    outcomes: list[Outcome] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)
    with_images: ImageRehearsal | None = None

    def __add__(self, other: Rehearsal) -> Rehearsal:
        """Return both together; of a size, or images, that both have, those of the other count."""
        again = set(other.sizes())
        return Rehearsal(
            [one for one in self.outcomes if one.images not in again] + other.outcomes,
            [one for one in self.answers if one.images not in again] + other.answers,
            other.with_images or self.with_images,
        )

    def sizes(self) -> list[int]:
        """Return the numbers of image positions of the rehearsals, ascending."""
        return sorted({outcome.images for outcome in self.outcomes})

    def missing(self) -> list[str]:
        """Return a line for each stage that did not find all planted pairs."""
        return [
            f"{outcome.stage} of {outcome.images:,} images found {outcome.found:,} of {outcome.planted:,}"
            for outcome in self.outcomes
            if outcome.found is not None and outcome.planted is not None and outcome.found < outcome.planted
        ]

    def row(self) -> dict[str, Any]:
        """Return all figures, for a JSON file."""
        return {
            "outcomes": [outcome.row() for outcome in self.outcomes],
            "answers": [answered.row() for answered in self.answers],
            "with_images": self.with_images.row() if self.with_images else None,
        }


def read_rehearsal(path: Path) -> Rehearsal:
    """Read a file that `visdiv perf --rehearse N --json FILE` wrote.

    Raises:
        StorageError: the file cannot be read, or is not such a file.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))["rehearsal"]
        return Rehearsal(
            [Outcome(**row) for row in stored["outcomes"]],
            [Answered(**row) for row in stored["answers"]],
            from_row(stored["with_images"]) if stored["with_images"] else None,
        )
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{path} was not written by `visdiv perf --rehearse N --json FILE` ({error}): name such a file"
        ) from None


def rehearse(
    plan: Plan,
    shape: Shape,
    folder: Path,
    materialize: Materialize,
    *,
    settings: Settings | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Rehearsal:
    """Create a lake in an empty folder and run all stages on it.

    Args:
        plan: the subsets and benchmarks of the lake.
        shape: the distribution of the vectors.
        folder: folder of all output, which is kept.
        materialize: prepares to run an asset.
        settings: settings of the stages, except locations; the defaults, without the environment, if None.
        say: called with a line after each step.
    """
    settings = (settings or Settings()).model_copy(
        update={"source": str(folder / "source"), "data": str(folder / "data"), "copies_by": "similarity"}
    )
    begin = time.perf_counter()
    with progress(f"creating {plan.images:,} images", _count_positions(plan), "image") as advance:
        planted = make_lake(Lake(settings.lake_root), folder / "source", plan, shape, progress=advance)
    # For inspection, if the folder is kept.
    pq.write_table(planted, folder / "planted.parquet")
    say(f"{plan.images:,} images created in {time.perf_counter() - begin:,.0f} s, {planted.num_rows:,} pairs planted")
    subsets = [subset.name for subset in plan.subsets]
    outcomes = []
    warehouse = Path(settings.warehouse_path)
    for stage in STAGES:
        if stage.after_change:
            settings = _with_changed_subset(settings, folder / "changed", plan, shape, materialize)
        run = run_stage(materialize, settings, stage, subsets)
        # The change has also replaced planted images.
        found = None if stage.after_change else check(stage.asset, settings, planted)
        outcome = Outcome(
            stage.name,
            plan.images,
            run.seconds,
            run.peak_mb,
            *output_size(settings, stage),
            found.planted if found else None,
            found.found if found else None,
        )
        outcomes.append(outcome)
        say(_describe(outcome))
    return Rehearsal(outcomes, ask(warehouse, plan.images))


def _with_changed_subset(
    settings: Settings, folder: Path, plan: Plan, shape: Shape, materialize: Materialize
) -> Settings:
    """Return settings of a copy of the lake in which one subset has changed, and has its near duplicates."""
    changed = settings.model_copy(update={"data": str(folder)})
    # Files of a lake are never changed, only replaced, so links are a copy.
    shutil.copytree(settings.lake_root, changed.lake_root, copy_function=os.link)
    name = change_subset(Lake(changed.lake_root), plan, shape)
    run_stage(materialize, changed, NEAR_DUPLICATES, [name])
    return changed


def _count_positions(plan: Plan) -> int:
    return sum(of_set.images for of_set in (*plan.subsets, *plan.benchmarks))


def _describe(outcome: Outcome) -> str:
    peak = "" if outcome.peak_mb is None else f", {outcome.peak_mb:,.0f} MB"
    found = "" if outcome.found is None else f", {outcome.found:,} of {outcome.planted:,} planted pairs"
    return f"{outcome.images:,}: {outcome.stage}: {outcome.seconds:,.1f} s{peak}{found}"


def stages_of(outcomes: Sequence[Outcome], stage: str) -> list[Outcome]:
    """Return the outcomes of one stage, ordered by size."""
    return sorted((outcome for outcome in outcomes if outcome.stage == stage), key=lambda outcome: outcome.images)
