"""The sample run once for all tests: what the run left behind, read without the code under test."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow.compute as pc

from visdiv_assets.orchestration.runs import Outcome, Session
from visdiv_assets.settings import Settings
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.conftest import SAMPLE, query

SUBSETS = ("clipart_nature", "clipart_people", "clipart_things")
BENCHMARK = "clipart_bench"

#: Subset (or benchmark), row, index of the image in the row.
Position = tuple[str, int, int]

#: Two images of at least this similarity are close: the default of `similarity_floor`.
FLOOR = 0.75


def read_vectors(lake: Lake, table: str, name: str) -> tuple[list[str], np.ndarray]:
    """Return the image_ids of a partition of vectors, and the vectors as float64."""
    manifest = lake.require(table, name)
    return lake.read(manifest, "ids")["image_id"].to_pylist(), lake.array(manifest, "vectors")[:].astype(np.float64)


@dataclass(frozen=True)
class SampleRun:
    """All benchmarks and subsets of the sample, run once in the way of `visdiv run --all`."""

    settings: Settings
    instance: dg.DagsterInstance
    outcomes: tuple[Outcome, ...]

    @property
    def lake(self) -> Lake:
        return Lake(self.settings.lake_root)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return query(self.settings, sql)

    def metadata(self, asset: str, subset: str) -> dict[str, Any]:
        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset), asset_partitions=[subset])
        (record,) = self.instance.fetch_materializations(wanted, limit=2).records
        assert record.asset_materialization is not None
        return {name: value.value for name, value in record.asset_materialization.metadata.items()}

    def vectors(self, subset: str) -> tuple[list[str], np.ndarray]:
        """Return image_ids and stored vectors as float64."""
        return read_vectors(self.lake, "sscd_embeddings", subset)


def sample_settings(data: Path) -> Settings:
    return Settings(source=str(SAMPLE), data=str(data), device="cpu")


def run_sample(data: Path) -> None:
    """Run the sample, in about 20 seconds, and write the outcomes into its data folder."""
    session = Session(sample_settings(data))
    with session.instance:
        outcomes = [asdict(outcome) for outcome in session.run([BENCHMARK], SUBSETS)]
    (data / "outcomes.json").write_text(json.dumps(outcomes), encoding="utf-8")


class Sample:
    """The sample after one run: positions and vectors, read from the lake without the code under test."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lake = Lake(settings.lake_root)
        self.vectors = {
            **{subset: self._vectors("sscd_embeddings", subset) for subset in SUBSETS},
            BENCHMARK: self._vectors("benchmark_embeddings", BENCHMARK),
        }
        self.positions = {
            **{subset: self._positions("subset_images", subset) for subset in SUBSETS},
            BENCHMARK: self._positions("benchmark_images", BENCHMARK),
        }
        self.image_id = {place: name for listed in self.positions.values() for place, name in listed.items()}

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return query(self.settings, sql)

    def similarity(self, a: Position, b: Position) -> float:
        """Return the cosine similarity of two positions."""
        x, y = (self.vectors[place[0]][self.image_id[place]] for place in (a, b))
        return float(x @ y)

    def close(self, one: str, other: str, threshold: float) -> dict[tuple[str, str], float]:
        """Return all pairs of images of two sets whose similarity reaches a threshold, by one matrix product."""
        left, right = self.vectors[one], self.vectors[other]
        product = np.minimum(np.array(list(left.values())) @ np.array(list(right.values())).T, 1)
        # A margin of 1e-9 for the summation order; no stored similarity may be that close to a threshold.
        assert not (np.abs(product - threshold) < 1e-9).any()
        ids, other_ids = list(left), list(right)
        return {
            (ids[i], other_ids[j]): float(product[i, j]) for i, j in zip(*np.nonzero(product >= threshold), strict=True)
        }

    def _vectors(self, table: str, name: str) -> dict[str, np.ndarray]:
        return dict(zip(*read_vectors(self.lake, table, name), strict=True))

    def _positions(self, table: str, name: str) -> dict[Position, str]:
        listed = self.lake.read(self.lake.require(table, name), where=pc.field("status") == "ok")
        return {(name, record["row"], record["image_index"]): record["image_id"] for record in listed.to_pylist()}


def endpoints(copy: dict[str, Any]) -> tuple[Position, Position]:
    """The source and the copy."""
    return (copy["src"], copy["src_row"], 0), (copy["dst"], copy["dst_row"], copy["image"])


def compared_pairs(sample: Sample) -> list[dict[str, Any]]:
    """Return all pairs with a verdict: their two image_ids `a` and `b`, and their table."""
    found = []
    for table in ("verified_duplicates", "verified_cross_subset", "verified_contamination"):
        for partition in sample.lake.partitions(table):
            manifest = sample.lake.require(table, partition)
            for record in sample.lake.read(manifest, "pairs").to_pylist() if manifest.files("pairs") else []:
                a, b = record.get("image_id_a") or record["image_id"], record.get("image_id_b")
                found.append({**record, "a": a, "b": b or record["benchmark_image_id"], "table": table})
    return found
