"""One rehearsal with encoded images: generate the source, run everything on it, and count what was found and stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from visdiv_assets.orchestration.plan.estimate import PASS, VERIFICATION
from visdiv_assets.perf import embedding
from visdiv_assets.perf.images.findings import Candidates, Found, Stored, read_candidates, stored_bytes
from visdiv_assets.perf.images.running import Ran, StepCost, run_all
from visdiv_assets.perf.images.source import plan_sets, write_source
from visdiv_assets.progress import progress
from visdiv_assets.settings import Settings
from visdiv_assets.sources import Kind
from visdiv_assets.storage.lake import Lake
from visdiv_assets.threads import thread_count

#: Images with which the model is measured alone.
MODEL_IMAGES = 24


@dataclass(frozen=True)
class ImageRehearsal:
    """What a whole run on generated images took and found.

    Attributes:
        images: number of images in all subsets.
        benchmark_images: number of images in all benchmarks.
        source_bytes: size of their files.
        cores: number of cores that the run could use.
        model_ms: core-milliseconds of the SSCD model per image, measured alone.
        ran: time and memory.
        candidates: candidate pairs and verdicts.
        found: planted copies.
        stored: size of each table.
    """

    images: int
    benchmark_images: int
    source_bytes: int
    cores: int
    model_ms: float
    ran: Ran
    candidates: list[Candidates]
    found: list[Found]
    stored: list[Stored]

    @property
    def pass_ms(self) -> float:
        """Core-milliseconds per image from its encoded bytes to all products."""
        return self._core_seconds(PASS) * 1e3 / (self.images + self.benchmark_images)

    @property
    def pairs_per_image(self) -> float:
        """Candidate pairs per image of the subsets."""
        return self._pairs / self.images

    @property
    def comparing_ms(self) -> float:
        """Core-milliseconds to verify a candidate pair."""
        return self._core_seconds(VERIFICATION) * 1e3 / max(self._pairs, 1)

    @property
    def _pairs(self) -> int:
        return sum(each.pairs for each in self.candidates)

    def _core_seconds(self, group: str) -> float:
        return sum(step.core_seconds for step in self.ran.steps if step.group == group)

    def row(self) -> dict[str, Any]:
        """Return all figures, for a JSON file."""
        return asdict(self)


def from_row(row: dict[str, Any]) -> ImageRehearsal:
    """Return the rehearsal that `ImageRehearsal.row` described.

    Raises:
        KeyError, TypeError: it describes none.
    """
    steps, seconds, peak_mb = row["ran"]
    return ImageRehearsal(
        **{
            **row,
            "ran": Ran([StepCost(*step) for step in steps], seconds, peak_mb),
            "candidates": [Candidates(*each) for each in row["candidates"]],
            "found": [Found(*each) for each in row["found"]],
            "stored": [Stored(*each) for each in row["stored"]],
        }
    )


def rehearse_images(
    images: int, folder: Path, *, settings: Settings | None = None, say: Callable[[str], None] = lambda line: None
) -> ImageRehearsal:
    """Generate images in an empty folder and run everything on them, without CLIP.

    Args:
        images: number of images in all subsets.
        folder: folder of the source and all output, which is kept.
        settings: settings of the stages, except locations; the defaults, without the environment, if None.
        say: called with a line after each step.

    Raises:
        InputError: there are too few images.
        VisdivError: a run fails.
    """
    settings = (settings or Settings()).model_copy(
        update={"source": str(folder / "source"), "data": str(folder / "data"), "clip_model": ""}
    )
    sets, planted = plan_sets(images)
    with progress("drawing images", sum(len(each.images) for each in sets), "image") as advance:
        pairs = write_source(folder / "source", sets, planted, advance)
    # For inspection, if the folder is kept.
    pq.write_table(pairs, folder / "planted.parquet")
    files = [path.stat().st_size for path in (folder / "source").rglob("*.parquet")]
    say(f"{images:,} images drawn, {sum(files) / 1e9:.1f} GB, {pairs.num_rows:,} copies planted")
    benchmarks, subsets = ([each.name for each in sets if each.kind is kind] for kind in (Kind.BENCHMARK, Kind.SUBSET))
    ran = run_all(settings, benchmarks, subsets)
    say(f"run in {ran.seconds:,.0f} s")
    lake = Lake(settings.lake_root)
    figures = {figure.name: figure.ours for figure in embedding.measure(MODEL_IMAGES, rounds=1)}
    return ImageRehearsal(
        images,
        sum(len(each.images) for each in sets if each.kind is Kind.BENCHMARK),
        sum(files),
        thread_count(0),
        figures[f"model only, JPEG of {embedding.WIDTH} x {embedding.HEIGHT}"],
        ran,
        *read_candidates(lake, sets, pairs),
        stored_bytes(lake),
    )
