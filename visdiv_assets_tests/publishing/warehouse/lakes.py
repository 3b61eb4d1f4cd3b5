"""Small lakes to publish, filled as the stages would fill them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from visdiv_assets.curation.quality import HISTOGRAM_SCHEMA, QUALITY_SCHEMA, RULES_SCHEMA
from visdiv_assets.diversity.tables import SCORES_SCHEMA
from visdiv_assets.duplicates.near import PAIRS_SCHEMA
from visdiv_assets.duplicates.thresholds import NAMED_THRESHOLDS
from visdiv_assets.embedding.shards import IDS_SCHEMA
from visdiv_assets.imaging.listing import IMAGES_SCHEMA
from visdiv_assets.storage.lake import Lake, PartitionWrite

NEIGHBORS = [f"neighbors_{name}" for name in NAMED_THRESHOLDS]
STAGES = ("subset_images", "quality_rows", "sscd_embeddings", "sscd_index", "near_duplicates", "subset_diversity")

#: (row, image_index, image_id, status)
Place = tuple[int, int, str | None, str]


def image_id(number: int) -> str:
    return f"{number:032x}"


def as_pairs(pairs: dict[tuple[str, str], float]) -> pa.Table:
    rows = [{"image_id_a": a, "image_id_b": b, "similarity": value} for (a, b), value in sorted(pairs.items())]
    return pa.Table.from_pylist(rows, PAIRS_SCHEMA)


@dataclass
class Contents:
    """What a subset holds, as the stages would write it."""

    places: Sequence[Place]
    pairs: dict[tuple[str, str], float] = field(default_factory=dict)
    model_id: str = "model@weights/skew_320"
    ratings: Sequence[dict[tuple[str, int | None], int]] = ({("relevance", 5): 2, ("relevance", None): 1},)
    stages: Sequence[str] = STAGES
    counted: Sequence[str] = tuple(NEIGHBORS)

    @property
    def unique(self) -> list[str]:
        """Readable image_ids, in order of occurrence."""
        return list(dict.fromkeys(str(place[2]) for place in self.places if place[3] == "ok"))

    def write(self, lake: Lake, subset: str) -> None:
        """Write all stages."""
        for stage in self.stages:
            write = lake.write(
                stage,
                subset,
                code_version="1",
                model_id=None if stage in ("subset_images", "quality_rows") else self.model_id,
                settings={"of": stage},
                source_revision=f"revision of {subset}",
                run_id=f"run of {subset}",
            )
            write.commit(**getattr(self, f"_{stage}")(write))

    def _subset_images(self, write: PartitionWrite) -> dict[str, Any]:
        half = len(self.places) // 2
        for name, places in (("one.parquet", self.places[:half]), ("two.parquet", self.places[half:])):
            rows = [
                {
                    "row": row,
                    "image_index": index,
                    "image_id": name_of_bytes,
                    "format": "png" if status == "ok" else None,
                    "width": 3 if status == "ok" else None,
                    "height": 4 if status == "ok" else None,
                    "size_bytes": 100 + row,
                    "status": status,
                    "detail": "" if status == "ok" else f"it is {status}",
                }
                for row, index, name_of_bytes, status in places
            ]
            with write.add(name) as unit:
                unit.table("rows", pa.Table.from_pylist(rows, IMAGES_SCHEMA), IMAGES_SCHEMA)
        return {
            "rows": max((place[0] for place in self.places), default=-1) + 3,
            "images": len(self.places),
            "images_unique": len(self.unique),
            "images_unreadable": sum(place[3] != "ok" for place in self.places),
            "digests": {},
            "files": [],
        }

    def _quality_rows(self, write: PartitionWrite) -> dict[str, Any]:
        for number, ratings in enumerate(self.ratings):
            counted = [
                {"criterion": criterion, "rating": rating, "turns": turns}
                for (criterion, rating), turns in ratings.items()
            ]
            with write.add(f"{number}.parquet") as unit:
                unit.table("rows", QUALITY_SCHEMA.empty_table(), QUALITY_SCHEMA)
                unit.table("histogram", pa.Table.from_pylist(counted, HISTOGRAM_SCHEMA), HISTOGRAM_SCHEMA)
                unit.table("rules", RULES_SCHEMA.empty_table(), RULES_SCHEMA)
        return {"rows": 5, "rows_kept": 4, "turns": 7, "turns_kept": 6}

    def _sscd_embeddings(self, write: PartitionWrite) -> dict[str, Any]:
        with write.add("one.parquet") as unit:
            unit.array("vectors", np.ones((len(self.unique), 1), np.float16))
            unit.table("ids", pa.table({"image_id": pa.array(self.unique, pa.string())}), IDS_SCHEMA)
        return {"dimension": 1}

    def _sscd_index(self, write: PartitionWrite) -> dict[str, Any]:
        with write.add("index") as unit:
            unit.file("index", "faiss", lambda stream: stream.write(b"index"))
            unit.table("ids", pa.table({"image_id": pa.array(self.unique, pa.string())}), IDS_SCHEMA)
        return {"vectors": len(self.unique)}

    def _near_duplicates(self, write: PartitionWrite) -> dict[str, Any]:
        near = Counter(itertools.chain.from_iterable(self.pairs))
        counts = pa.table(
            {
                "image_id": pa.array(self.unique, pa.string()),
                "background_similarity": pa.nulls(len(self.unique), pa.float32()),
                **{name: pa.array([near[of] for of in self.unique], pa.int64()) for name in self.counted},
            }
        )
        with write.add("pairs") as unit:
            unit.table("pairs", as_pairs(self.pairs), PAIRS_SCHEMA)
            unit.table("counts", counts, counts.schema)
        return {}

    def _subset_diversity(self, write: PartitionWrite) -> dict[str, Any]:
        scores = [
            {"scope": scope, "images": 3, "model_id": self.model_id, "centered": centered, "vendi": 1.5, "score": None}
            for scope in ("subset", "subset_unique")
            for centered in (True, False)
        ]
        with write.add("moments") as unit:
            unit.table("moments", pa.table({"n": [1]}), pa.schema([("n", pa.int64())]))
            unit.table("scores", pa.Table.from_pylist(scores, SCORES_SCHEMA), SCORES_SCHEMA)
        return {}


A, B, C, D, X = map(image_id, (10, 11, 12, 13, 99))

SOME = Contents(
    [
        (0, 0, A, "ok"),
        (0, 1, B, "ok"),
        (1, 0, None, "empty"),
        (2, 0, A, "ok"),
        (2, 1, X, "truncated"),
        (3, 0, X, "truncated"),
    ],
    {(A, B): 0.9},
)


OTHER = Contents([(0, 0, B, "ok"), (5, 2, C, "ok"), (7, 0, A, "ok")], {(A, B): 0.9, (B, C): 0.8})


def fill_lake(root: Path) -> Lake:
    """A lake with two subsets, of which one has an odd name."""
    lake = Lake(root)
    SOME.write(lake, "some")
    OTHER.write(lake, "other+(x)")
    return lake
