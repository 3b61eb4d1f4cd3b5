"""What the leak report of a benchmark holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.reports.pairs import PAIRS_SHOWN, PairEntry, Report, Table
from visdiv_assets.reports.places import Place, first_places, pictures_at
from visdiv_assets.sources import Kind, Source
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

INTRODUCTION = (
    "Training pictures beside the pictures of the benchmark's test set that they are close to. A high similarity is a "
    "reason to look, not a proof. Low information marks blank pages and the like, which are close to each other "
    "without being copies."
)


def leak_report(
    store: Lake, source: Source, benchmark: str, contamination: Mapping[str, Manifest], threshold: float
) -> Report:
    """The closest pairs of a benchmark's pictures with those of all subsets, and each subset's rate.

    Args:
        store: the lake.
        source: where the pictures are fetched.
        benchmark: its name.
        contamination: manifests of `contamination` by subset.
        threshold: at which the rates are given; one that they were published at.
    """
    found: list[pa.Table] = []
    rates: list[dict[str, Any]] = []
    for subset, manifest in contamination.items():
        if manifest.files("pairs"):
            of_benchmark = store.read(manifest, "pairs", where=pc.field("benchmark") == benchmark)
            found.append(of_benchmark.append_column("subset", pa.repeat(subset, of_benchmark.num_rows)))
        at = (pc.field("benchmark") == benchmark) & (pc.field("threshold") == threshold)
        rates += [{"subset": subset, **record} for record in store.read(manifest, "rates", where=at).to_pylist()]
    total = sum(table.num_rows for table in found)
    pairs = _closest(pa.concat_tables(found)) if total else []
    training = _training_places(store, pairs)
    tested = [
        Place(benchmark, pair["benchmark_row"], pair["benchmark_image"], pair["benchmark_image_id"]) for pair in pairs
    ]
    train_pictures = pictures_at(source, Kind.SUBSET, training)
    test_pictures = pictures_at(source, Kind.BENCHMARK, tested)
    return Report(
        title=f"Leaks of {benchmark}",
        introduction=INTRODUCTION,
        facts={
            "pictures of the benchmark": f"{rates[0]['benchmark_images']:,}" if rates else "0",
            "subsets compared": f"{len(rates)}",
            "threshold of the rates": f"{threshold}",
        },
        table=Table(
            ["subset", "pictures", "contaminated", "rate", "95 % interval", "benchmark pictures leaked"],
            [_rate_row(record) for record in rates],
            f"Pictures of each subset whose similarity to a picture of {benchmark} is at least {threshold}",
        ),
        pairs=[
            PairEntry(
                train_pictures[left],
                test_pictures[right],
                {
                    "similarity": pair["similarity"],
                    "normalised": pair["similarity_normalised"],
                    "low information": pair["low_information"],
                },
            )
            for pair, left, right in zip(pairs, training, tested, strict=True)
        ],
        pairs_total=total,
        left_heading="Training picture",
        right_heading="Benchmark picture",
    )


def _closest(pairs: pa.Table) -> list[dict[str, Any]]:
    order = [("similarity", "descending"), *((name, "ascending") for name in ("subset", "image_id", "benchmark_row"))]
    top: list[dict[str, Any]] = pairs.sort_by(order).slice(0, PAIRS_SHOWN).to_pylist()
    return top


def _rate_row(record: Mapping[str, Any]) -> list[str]:
    rate, interval = "", ""
    if record["rate"] is not None:
        rate, interval = f"{record['rate']:.2%}", f"{record['ci_low']:.2%} to {record['ci_high']:.2%}"
    counts = [f"{record[name]:,}" for name in ("images", "images_contaminated")]
    return [record["subset"], *counts, rate, interval, f"{record['benchmark_images_leaked']:,}"]


def _training_places(store: Lake, pairs: list[dict[str, Any]]) -> list[Place]:
    """The first position of each pair's training picture."""
    places = {
        subset: first_places(store, subset, (pair["image_id"] for pair in pairs if pair["subset"] == subset))
        for subset in {pair["subset"] for pair in pairs}
    }
    return [places[pair["subset"]][pair["image_id"]] for pair in pairs]
