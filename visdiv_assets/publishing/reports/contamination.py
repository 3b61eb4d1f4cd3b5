"""Build the leak report of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.contamination.positions import DECIDED_LEAKS_SCHEMA, LEAK_IDS
from visdiv_assets.corpus.image_lookup import ImagePosition, ImageReader, find_first_positions
from visdiv_assets.duplicates.decided_pairs import obey, read_decided
from visdiv_assets.publishing.reports.badges import measures_of, verdict_counts, verdict_of
from visdiv_assets.publishing.reports.model import PairEntry, Report, Table
from visdiv_assets.publishing.reports.pair_selection import records_on_page
from visdiv_assets.publishing.review_words import judged_pairs, precision_sentences
from visdiv_assets.sources import Kind
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

INTRODUCTION = (
    "Training images next to the benchmark images that they are close to. A high similarity alone does not prove that "
    "an image is a copy. Low information marks images such as blank pages, which are close to each other without being "
    "copies."
)

COMPARED = (
    "The pixels of candidate pairs were compared: pairs above a low similarity, and pairs whose PDQ hashes are close "
    "in any of 8 orientations."
)

_TIES = [(name, "ascending") for name in ("subset", "image_id", "benchmark_row", "benchmark_image")]


def leak_report(
    images: ImageReader,
    benchmark: str,
    contamination: Mapping[str, Manifest],
    threshold: float,
    *,
    verified: Mapping[str, Manifest] | None = None,
    measured: Sequence[str] = (),
) -> Report:
    """Collect the closest pairs of benchmark images and subset images, and the rate of each subset.

    Args:
        images: reads the images, and the tables of the lake.
        benchmark: name of the benchmark.
        contamination: manifests of `contamination` by subset.
        threshold: similarity of the rates; one of the thresholds for which rates are stored.
        verified: manifests of `verified_contamination` by subset, where there is one; their pairs and rates are
            included.
        measured: sentences on measured recall and precision.
    """
    store, compared = images.lake, verified or {}
    rates: list[dict[str, Any]] = []
    for subset, manifest in contamination.items():
        of_benchmark = pc.field("benchmark") == benchmark
        at = of_benchmark & (pc.field("threshold") == threshold)
        rates += [{"subset": subset, **record} for record in store.read(manifest, "rates", where=at).to_pylist()]
        if subset in compared:
            found = store.read(compared[subset], "rates", where=of_benchmark).to_pylist()
            rates += [{"subset": subset, **record} for record in found]
    together = _pairs(store, benchmark, {**contamination, **compared})
    pairs = [] if together is None else records_on_page(together, _TIES)
    training = _training_positions(store, pairs)
    tested = [
        ImagePosition(benchmark, pair["benchmark_row"], pair["benchmark_image"], pair["benchmark_image_id"])
        for pair in pairs
    ]
    train_images = images.read(Kind.SUBSET, training)
    test_images = images.read(Kind.BENCHMARK, tested)
    return Report(
        title=f"Images of {benchmark} in the training data",
        introduction=f"{INTRODUCTION}\n\n{COMPARED}" if compared else INTRODUCTION,
        facts={
            "images of the benchmark": f"{rates[0]['benchmark_images']:,}" if rates else "0",
            "subsets compared": f"{len({record['subset'] for record in rates})}",
            "threshold of the rates": f"{threshold}",
            **({} if together is None else verdict_counts(together)),
        },
        table=_table(benchmark, rates, threshold, by_pixels=bool(compared)),
        pairs=[
            PairEntry(train_images[left], test_images[right], measures_of(pair), verdict_of(pair))
            for pair, left, right in zip(pairs, training, tested, strict=True)
        ],
        pairs_total=0 if together is None else together.num_rows,
        left_heading="Training image",
        right_heading="Benchmark image",
        measured=[*measured, *_precision(store, benchmark, compared)],
        kind="contamination",
    )


def _pairs(store: Lake, benchmark: str, manifests: Mapping[str, Manifest]) -> pa.Table | None:
    """Return the pairs of a benchmark with a column subset; None if no subset was searched."""
    found = []
    for subset, manifest in manifests.items():
        if manifest.files("pairs"):
            of_benchmark = pc.field("benchmark") == benchmark
            of_subset = store.read(manifest, "pairs", where=of_benchmark)
            if "verified" in of_subset.column_names:
                decided = read_decided(store, manifest, DECIDED_LEAKS_SCHEMA).filter(of_benchmark)
                of_subset = obey(of_subset, decided, LEAK_IDS)
            found.append(of_subset.append_column("subset", pa.repeat(subset, of_subset.num_rows)))
    # Some subsets may have been verified, others not.
    return pa.concat_tables(found, promote_options="default") if found else None


def _precision(store: Lake, benchmark: str, verified: Mapping[str, Manifest]) -> list[str]:
    """Say what share of the confirmed pairs of a benchmark people judged wrong; nothing if they judged none."""
    of_benchmark = pc.field("benchmark") == benchmark
    judged = []
    for manifest in verified.values():
        decided = read_decided(store, manifest, DECIDED_LEAKS_SCHEMA).filter(of_benchmark)
        if decided.num_rows and manifest.files("pairs"):
            confirmed = store.read(manifest, "pairs", where=of_benchmark & pc.field("verified"))
            judged.append(judged_pairs(confirmed, decided, LEAK_IDS))
    if not judged:
        return []
    # Several subsets may hold the same image.
    together = pa.concat_tables(judged)
    return precision_sentences(together.group_by(together.column_names).aggregate([]))


def _table(benchmark: str, rates: Sequence[Mapping[str, Any]], threshold: float, *, by_pixels: bool) -> Table:
    names = ["subset", "images", "contaminated", "rate", "95 % interval", "benchmark images leaked"]
    if not by_pixels:
        caption = f"Images of each subset whose similarity to an image of {benchmark} is at least {threshold}"
        return Table(names, [_rate_row(record) for record in rates], caption)
    # The rate of confirmed copies has no threshold.
    rules = ["confirmed" if record["threshold"] is None else f"similarity at least {threshold}" for record in rates]
    rows = [[row[0], rule, *row[1:]] for row, rule in zip(map(_rate_row, rates), rules, strict=True)]
    caption = f"Images of each subset that are in {benchmark}, by similarity and as confirmed by verification"
    return Table([names[0], "by", *names[1:]], rows, caption)


def _rate_row(record: Mapping[str, Any]) -> list[str]:
    rate, interval = "", ""
    if record["rate"] is not None:
        rate, interval = f"{record['rate']:.2%}", f"{record['ci_low']:.2%} to {record['ci_high']:.2%}"
    counts = [f"{record[name]:,}" for name in ("images", "images_contaminated")]
    return [record["subset"], *counts, rate, interval, f"{record['benchmark_images_leaked']:,}"]


def _training_positions(store: Lake, pairs: list[dict[str, Any]]) -> list[ImagePosition]:
    """Return the first position of the training image of each pair."""
    places = {
        subset: find_first_positions(store, subset, (pair["image_id"] for pair in pairs if pair["subset"] == subset))
        for subset in {pair["subset"] for pair in pairs}
    }
    return [places[pair["subset"]][pair["image_id"]] for pair in pairs]
