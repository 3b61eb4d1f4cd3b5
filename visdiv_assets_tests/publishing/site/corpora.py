"""Made-up findings of any number of subsets, published as the program publishes real ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from visdiv_assets.diversity.moments import Moments
from visdiv_assets.diversity.published import published_scores
from visdiv_assets.diversity.rarefaction import SIZES
from visdiv_assets.publishing.warehouse.schema import SCHEMA_VERSION, TABLES, VIEWS
from visdiv_assets.sources.catalog import FINEVISION, benchmarks, finevision_categories, published
from visdiv_assets.statistics import wilson_interval
from visdiv_assets.storage.lake import Lake

MODEL = "model@weights/made_up"
THRESHOLDS = (0.75, 0.90, 0.93, 0.95)
CRITERIA = ("formatting", "image_correspondence", "relevance", "visual_dependency")


def finevision() -> tuple[list[str], list[str]]:
    """The names of FineVision's subsets, and of the 66 benchmarks that it was compared with."""
    return list(finevision_categories()), [entry.name for entry in benchmarks() if entry.list == "finevision66"]


@dataclass
class MadeUp:
    """Where made-up findings lie."""

    warehouse: Path
    lake: Lake
    reports: Path


def make(folder: Path, subsets: Sequence[str], tests: Sequence[str], *, seed: int = 0) -> MadeUp:
    """Publish findings of these subsets and benchmarks, with moments of 24 dimensions in the lake, but no images."""
    made = MadeUp(folder / "visdiv.duckdb", Lake(folder / "lake"), folder / "reports")
    random = np.random.default_rng(seed)
    rows = _Rows(random, subsets, tests)
    made.warehouse.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(made.warehouse)) as connection:
        for table in TABLES:
            connection.execute(table.create_statement())
            records = list(getattr(rows, table.name)()) if hasattr(rows, table.name) else []
            if records:
                given = pa.Table.from_pylist(records)
                connection.register("given", given)
                connection.execute(f'INSERT INTO "{table.name}" BY NAME SELECT * FROM given')
                connection.unregister("given")
        for view in VIEWS:
            connection.execute(view.create_statement())
    for number, subset in enumerate(subsets):
        vectors = random.standard_normal((60, 24)) * np.geomspace(1, 0.02 + 0.001 * number, 24)
        write = made.lake.write("subset_diversity", subset, code_version="1")
        with write.add("moments") as unit:
            moments = Moments.from_vectors(vectors, model_id=MODEL).to_arrow()
            moments = moments.add_column(0, "scope", pa.array(["subset"]))
            unit.table("moments", moments, moments.schema)
        write.commit()
    return made


class _Rows:
    """The rows of each table, by its name."""

    def __init__(self, random: np.random.Generator, subsets: Sequence[str], tests: Sequence[str]) -> None:
        self._random, self._names, self._tests = random, subsets, tests
        self._images = {
            subset: min(known.images, 20_000_000) if (known := published(subset, FINEVISION)) else 300 + 40 * number
            for number, subset in enumerate(subsets)
        }

    def subsets(self) -> Iterator[dict[str, Any]]:
        for subset, images in self._images.items():
            yield {
                "subset": subset,
                "category": finevision_categories().get(subset),
                "rows": images,
                "rows_passing_quality": images,
                "images": images,
                "images_unique": images - images // 50,
                "images_unreadable": images // 1_000,
                "model_id": MODEL,
            }

    def meta(self) -> Iterator[dict[str, Any]]:
        yield {"schema_version": SCHEMA_VERSION, "source": "hf://datasets/made/up", "settings": "{}"}

    def provenance(self) -> Iterator[dict[str, Any]]:
        for subset in self._names:
            yield {"table_name": "subset_images", "partition": subset, "materialized_at": "2026-01-02 03:04:05"}
        if self._names:
            yield {"table_name": "curated_rows", "partition": "all", "materialized_at": "2026-01-02 03:04:04"}

    def rows(self) -> Iterator[dict[str, Any]]:
        # One decided row stands for all.
        for subset, rows in self._images.items():
            if rows:
                yield {"subset": subset, "row": 0, "kept": True}

    def dropped_rows(self) -> Iterator[dict[str, Any]]:
        for number, subset in enumerate(self._names):
            for row in range(number % 7 if self._images[subset] else 0):
                duplicate = {"reason": "duplicate", "witness_kind": "subset", "witness": self._names[0]}
                yield {"subset": subset, "row": row, **(duplicate if row else {"reason": "unreadable"})}

    def text_contamination_rates(self) -> Iterator[dict[str, Any]]:
        for number, (subset, rows) in enumerate(self._images.items()):
            for size in (0, 8, 13):
                for benchmark in [*self._tests, "ALL"] if rows else []:
                    matched = min(rows, number % 4 * (size == 8))
                    low, high = wilson_interval(matched, rows)
                    counted = {"rows": rows, "rows_matched": matched, "rows_half_matched": matched // 2}
                    rate = {"rate": matched / rows, "ci_low": low, "ci_high": high}
                    yield {"subset": subset, "benchmark": benchmark, "ngram_size": size, **counted, **rate}

    def image_text_leak_rates(self) -> Iterator[dict[str, Any]]:
        for number, subset in enumerate(self._names):
            for benchmark in self._tests:
                low, high = wilson_interval(number, 200)
                counted = {"compared": 200, "found": number, "rate": number / 200, "ci_low": low, "ci_high": high}
                low, high = wilson_interval(number, 500)
                tested = {"benchmark_rate": number / 500, "benchmark_ci_low": low, "benchmark_ci_high": high}
                tested |= {"benchmark_compared": 500, "benchmark_found": number}
                yield {"subset": subset, "benchmark": benchmark, "kind": "text_in_image", **counted, **tested}
                # The images of the benchmark were not read.
                for kind in ("image_in_text", "image_in_image"):
                    yield {"subset": subset, "benchmark": benchmark, "kind": kind}

    def text_overlaps(self) -> Iterator[dict[str, Any]]:
        for number, subset in enumerate(self._names):
            for benchmark in self._tests[:1]:
                where = {"subset": subset, "row": number, "turn": 0, "side": "user", "benchmark": benchmark}
                counted = {"ngrams": 40, "ngrams_matched": 10, "share": 0.25, "longest_match": 17 + number}
                yield {**where, "ngram_size": 13, **counted}

    def alignment_summary(self) -> Iterator[dict[str, Any]]:
        for number, subset in enumerate(self._names):
            middle = 0.2 + 0.001 * number
            for unit in ("turn", "row"):
                for name, cosine in (("p10", middle - 0.05), ("p50", middle), ("p90", middle + 0.05)):
                    found = {"statistic": "quantile", "name": name, "cosine": cosine, "clip_score": 2.5 * cosine}
                    yield {"subset": subset, "unit": unit, **found, "count_scored": 500}
                kept = {"statistic": "filter", "name": "laion_400m", "cosine": 0.3, "clip_score": 0.75}
                yield {"subset": subset, "unit": unit, **kept, "count_reached": 50, "count_scored": 500, "share": 0.1}
            cut = {"statistic": "truncated", "name": "truncated", "count_reached": number, "count_scored": 500}
            yield {"subset": subset, "unit": "text", **cut, "share": number / 500}

    def selection_scores(self) -> Iterator[dict[str, Any]]:
        for number, subset in enumerate(self._names):
            for row in range(5):
                scores = {"semdedup": 0.01 * (number + row), "conformity": 0.1 * row, "clip_score": 0.5}
                yield {"subset": subset, "row": row, **scores, "whitened_clip": None}

    def map_points(self) -> Iterator[dict[str, Any]]:
        for number, subset in enumerate(self._names):
            for row in range(6):
                cluster = {"cluster": row % 3 - 1, "cluster_name": "red, bird" if row % 3 else ""}
                point = {
                    "vectors": "sscd",
                    "layout": "umap",
                    "id": f"{row:032x}",
                    "row": row,
                    "x": 0.5 * row,
                    "y": float(number),
                }
                yield {"subset": subset, **point, **cluster}

    def images(self) -> Iterator[dict[str, Any]]:
        for subset in self._names:
            for row, near in enumerate(self._random.integers(0, 4, 5).tolist()):
                counted = {
                    "neighbors_sscd_paper": near,
                    "neighbors_hf_toolkit": near // 2,
                    "neighbors_finevision": 0,
                }
                yield {"subset": subset, "row": row, "image_index": 0, "status": "ok", **counted}

    def quality(self) -> Iterator[dict[str, Any]]:
        for subset in self._names:
            for criterion in CRITERIA:
                turns = self._random.multinomial(1_000, self._random.dirichlet([1, 1, 2, 5, 6]))
                for rating, count in enumerate(turns.tolist(), start=1):
                    yield {"subset": subset, "criterion": criterion, "rating": rating, "turns": count}
                yield {"subset": subset, "criterion": criterion, "rating": None, "turns": 7}

    def contamination_rates(self) -> Iterator[dict[str, Any]]:
        for subset, images in self._images.items():
            for benchmark in [*self._tests, "ALL"]:
                leaking = self._random.random() < 0.12
                most = 10 + int(images * self._random.beta(0.4, 40)) if leaking else 0
                for rule, threshold, part in [("confirmed", None, 0.7)] + [
                    ("similarity", value, 1.9 - 1.8 * value) for value in THRESHOLDS
                ]:
                    hit = min(int(most * part), images)
                    low, high = wilson_interval(hit, images)
                    yield {
                        "subset": subset,
                        "benchmark": benchmark,
                        "rule": rule,
                        "threshold": threshold,
                        "images": images,
                        "images_contaminated": hit,
                        "rows": images,
                        "rows_contaminated": hit,
                        "benchmark_images": 1_000,
                        "benchmark_images_leaked": min(hit, 900),
                        "rate": hit / images if images else None,
                        "ci_low": low,
                        "ci_high": high,
                    }

    def subset_overlap(self) -> Iterator[dict[str, Any]]:
        for subset, images in self._images.items():
            for other in self._names:
                if images and other != subset and self._random.random() < 0.1:
                    shared = int(images * self._random.beta(0.3, 12))
                    yield {
                        "subset": subset,
                        "other_subset": other,
                        "threshold": 0.95,
                        "images": images,
                        "images_shared": shared,
                        "images_shared_exactly": shared // 2,
                        "share": shared / images,
                    }

    def diversity(self) -> Iterator[dict[str, Any]]:
        for scope, subset, images in [
            *(("subset", name, count) for name, count in self._images.items()),
            ("corpus", None, sum(self._images.values())),
        ]:
            rank = min(60 + 250 * self._random.random(), images / 2)
            known = {"scope": scope, "subset": subset, "images": images, "model_id": MODEL, "centered": True}
            if not images:
                yield {**known, "too_few": True}
                continue
            yield {
                **known,
                "effective_rank": rank,
                "participation_ratio": rank * 0.6,
                "participation_ratio_unbiased": rank * 0.61,
                "vendi": rank * 0.8,
                "score": rank * 0.77 / 512,
                "mean_norm": 0.3,
                "too_few": images < 1_024,
            }

    def diversity_published(self) -> Iterator[dict[str, Any]]:
        yield from published_scores().to_pylist()

    def diversity_rarefied(self) -> Iterator[dict[str, Any]]:
        for subset, images in self._images.items():
            end = 60 + 250 * self._random.random()
            for size in SIZES:
                if size <= images:
                    rank = end * size / (size + 300)
                    wide = 0.3 / np.sqrt(size)
                    numbers = {
                        f"{name}_{part}": rank * times * (1 + sign * wide)
                        for name, times in (("effective_rank", 1), ("participation_ratio", 0.6), ("score", 0.77 / 512))
                        for part, sign in (("mean", 0), ("low", -1), ("high", 1))
                    }
                    counted = {"images": images, "sample_size": size, "samples": 8, "too_few": size < 1_024}
                    yield {"subset": subset, "model_id": MODEL, **counted, **numbers}

    def component_sizes(self) -> Iterator[dict[str, Any]]:
        for threshold in THRESHOLDS:
            many = int(4_000 * (1.3 - threshold) ** 2)
            yield {"threshold": threshold, "components": many, "images": 3 * many, "largest_component": many // 9}

    def calibration(self) -> Iterator[dict[str, Any]]:
        for subset in self._names[:3]:
            for kind in ("ALL", "crop", "jpeg", "rotation"):
                for rule, threshold in [("confirmed", None), *(("similarity", value) for value in THRESHOLDS)]:
                    found = int(self._random.integers(20, 90)) if threshold else 93
                    low, high = wilson_interval(found, 100)
                    yield {
                        "subset": subset,
                        "copy_kind": kind,
                        "strength": "ALL",
                        "rule": rule,
                        "threshold": threshold,
                        "images": 24,
                        "copies": 100,
                        "copies_found": found,
                        "recall": found / 100,
                        "recall_low": low,
                        "recall_high": high,
                        **(
                            {"precision": 0.97, "precision_low": 0.9, "precision_high": 0.99, "false_positives": 3}
                            if kind == "ALL"
                            else {}
                        ),
                    }

    def duplicate_clusters(self) -> Iterator[dict[str, Any]]:
        for number, subset in enumerate(self._names):
            for row in range(2 + number % 5):
                identity = f"{number:016x}{row:016x}"
                yield {
                    "component_id": f"{number:032x}",
                    "cluster_id": f"{number:032x}",
                    "subset": subset,
                    "row": row,
                    "image_index": 0,
                    "image_id": identity,
                    "keep": row == 0,
                    "reason": "near_copy" if row else "best",
                    "similarity": 0.9 if row else 1.0,
                    "confidence": 0.995 if row else None,
                    "evidence": "cropped" if row else None,
                }
