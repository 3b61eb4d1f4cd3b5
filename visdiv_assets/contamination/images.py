"""Find the images of a subset that are close to images of benchmarks, and compute the rates of contamination."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.contamination.benchmark_images import BenchmarkImages
from visdiv_assets.duplicates.candidates import CandidateRule, Images, merge_candidates
from visdiv_assets.duplicates.pdq_join import close_hashes
from visdiv_assets.duplicates.regions import region_pairs, with_regions
from visdiv_assets.statistics import ALL, wilson_interval
from visdiv_assets.vectors.join_blocks import Part, merge_parts
from visdiv_assets.vectors.partner_lists import PartnerRule

BENCHMARK_PAIRS_SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("benchmark", pa.string()),
        ("benchmark_image_id", pa.string()),
        ("similarity", pa.float32()),
    ]
)
CANDIDATES_SCHEMA = pa.schema([*BENCHMARK_PAIRS_SCHEMA, ("pdq_distance", pa.int16())])
LOCATED_SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("benchmark", pa.string()),
        ("benchmark_row", pa.int64()),
        ("benchmark_image", pa.int32()),
        ("benchmark_image_id", pa.string()),
        ("benchmark_positions", pa.int64()),
        ("similarity", pa.float32()),
        ("similarity_normalized", pa.float32()),
        ("low_information", pa.bool_()),
    ]
)
RATES_SCHEMA = pa.schema(
    [
        ("benchmark", pa.string()),
        ("rule", pa.string()),
        ("threshold", pa.float64()),
        ("images", pa.int64()),
        ("images_contaminated", pa.int64()),
        ("rows", pa.int64()),
        ("rows_contaminated", pa.int64()),
        ("benchmark_images", pa.int64()),
        ("benchmark_images_leaked", pa.int64()),
        ("rate", pa.float64()),
        ("ci_low", pa.float64()),
        ("ci_high", pa.float64()),
    ]
)

#: The rules that make an image contaminated: its similarity reaches a threshold, or verification confirms a pair.
SIMILARITY, VERIFIED = "similarity", "verified"


@dataclass(frozen=True)
class Leaks:
    """Pairs of an image of a subset and an image of a benchmark.

    A pair with an image of several benchmarks is listed for each of them.

    Attributes:
        pairs: table of `BENCHMARK_PAIRS_SCHEMA`, sorted by its first three columns: close pairs.
        candidates: table of `CANDIDATES_SCHEMA`, sorted likewise.
    """

    pairs: pa.Table
    candidates: pa.Table


def find_leaks(
    own: Images,
    benchmarks: BenchmarkImages,
    parts: Iterable[Part],
    rule: PartnerRule,
    candidates: CandidateRule,
    by_region: pa.Table | None = None,
) -> Leaks:
    """Return the close pairs and candidate pairs from the results of the blocks of a join with all benchmarks.

    Both sides have each image once, so a benchmark image that is used for ten questions is compared once. Close pairs
    are the K best of each image of the subset, its best in each benchmark, and the best of each benchmark image; so
    rates at any threshold are exact. Candidates are the K best of each image of the subset, and the best of each
    benchmark image.

    Args:
        own: images of the subset.
        benchmarks: images of the benchmarks.
        parts: results of `join_blocks.compute_part` for all blocks.
        rule: made by `CandidateRule.partners`; the parts were computed with it.
        candidates: which pairs are candidates.
        by_region: pairs of an image of the subset and one of the benchmarks of which one is close to a region of the
            other: table of `join.PAIR_SCHEMA`, from `regions.pairs_of_images`; None if there are no regions.
    """
    others = benchmarks.images
    found = merge_parts(own.vectors, benchmarks.side, parts, rule)
    # The images of the subset are turned, which are fewer than those of all benchmarks in most subsets.
    turned = close_hashes(
        others.hashes, own.hashes, distance=candidates.pdq_distance, k_best=1, right_k_best=candidates.k_best
    )
    by_pdq = turned.rename_columns({"left": "right", "right": "left"})
    together = merge_candidates(own.vectors, others.vectors, candidates.select(found.candidates), by_pdq)
    if by_region is not None:
        added = region_pairs(together, by_region, own.vectors, others.vectors, candidates.k_best)
        together = with_regions(together, added)
    # Stored vectors are rounded to float16: the product of an image with its copy may exceed 1 by 1e-3.
    similarity = pc.min_element_wise(found.close["similarity"], pa.scalar(1, pa.float32()))
    close = found.close.set_column(2, "similarity", similarity)
    return Leaks(
        _attribute(close, own.image_ids, benchmarks, BENCHMARK_PAIRS_SCHEMA),
        _attribute(together, own.image_ids, benchmarks, CANDIDATES_SCHEMA),
    )


def _attribute(found: pa.Table, image_ids: pa.Array, benchmarks: BenchmarkImages, schema: pa.Schema) -> pa.Table:
    """Replace the row indices of pairs by image_ids, and repeat each pair for the benchmarks that hold its image."""
    index, names = benchmarks.holders_of(found["right"].to_numpy())
    repeated = found.take(index)
    columns = {
        "image_id": image_ids.take(repeated["left"]),
        "benchmark": names,
        "benchmark_image_id": benchmarks.images.image_ids.take(repeated["right"]),
        **{name: repeated[name] for name in schema.names[3:]},
    }
    return pa.table(columns, schema=schema).sort_by([(name, "ascending") for name in schema.names[:3]])


def locate_pairs(
    pairs: pa.Table,
    benchmark_positions: Mapping[str, pa.Table],
    low_information: pa.Table,
    background: pa.Table,
) -> pa.Table:
    """Add to pairs the position of the benchmark image, the normalized similarity and the low-information flag.

    Args:
        pairs: table with the columns of `BENCHMARK_PAIRS_SCHEMA`.
        benchmark_positions: readable positions of the benchmarks in order, by name: row, image_index, image_id,
            low_information. There is at least one benchmark.
        low_information: image_id and low_information of the subset's images, each once.
        background: image_id and background_similarity of the subset's images.

    Returns:
        table of `LOCATED_SCHEMA`, in the order of the pairs. For a benchmark image that occurs several times, it has
        the first position and the number of positions. low_information is true if either image is flagged.
    """
    # Of all benchmarks, few images are in pairs.
    wanted = pc.unique(pairs["benchmark_image_id"])
    chosen = {name: table.filter(pc.is_in(table["image_id"], wanted)) for name, table in benchmark_positions.items()}
    listed = pa.concat_tables(
        table.append_column("benchmark", pa.repeat(name, table.num_rows)) for name, table in chosen.items()
    )
    indexed = listed.append_column("position", pa.array(np.arange(listed.num_rows)))
    found = indexed.group_by(["benchmark", "image_id"], use_threads=False).aggregate(
        [("position", "min"), ("position", "count")]
    )
    # A name holds no line break.
    keys = pc.binary_join_element_wise(found["benchmark"], found["image_id"], "\n").combine_chunks()
    index = pc.index_in(pc.binary_join_element_wise(pairs["benchmark"], pairs["benchmark_image_id"], "\n"), keys)
    first = listed.take(found["position_min"].take(index))
    own = pc.index_in(pairs["image_id"], low_information["image_id"].combine_chunks())
    behind = pc.index_in(pairs["image_id"], background["image_id"].combine_chunks())
    return pa.table(
        [
            pairs["image_id"],
            pairs["benchmark"],
            first["row"],
            first["image_index"],
            pairs["benchmark_image_id"],
            found["position_count"].take(index),
            pairs["similarity"],
            pc.subtract(pairs["similarity"], background["background_similarity"].take(behind)),
            pc.or_(first["low_information"], low_information["low_information"].take(own)),
        ],
        schema=LOCATED_SCHEMA,
    )


def contamination_rates(
    positions: pa.Table,
    rows: int,
    benchmark_positions: Mapping[str, pa.Table],
    pairs: Mapping[str, pa.Table],
    thresholds: Sequence[float],
) -> pa.Table:
    """Compute the rates of contamination of a subset by each benchmark, and by all together (`ALL`).

    An image is contaminated if its best match reaches the threshold, a row if one of its images is. Every readable
    position counts, so an image that occurs twice counts twice, on both sides.

    Args:
        positions: the subset's readable positions: row, image_id.
        rows: number of rows of the subset, rows without images included.
        benchmark_positions: the benchmarks' readable positions, by name: image_id.
        pairs: tables with the columns of `BENCHMARK_PAIRS_SCHEMA`, by benchmark; their floor is at most the lowest
            threshold.
        thresholds: similarities from which an image counts as contaminated.

    Returns:
        table of `RATES_SCHEMA`: rate = images_contaminated / images, with its Wilson interval at 95 %
        (`wilson_interval`); null if there are no images.
    """
    best = {name: _best_similarity(positions["image_id"], table, "image_id") for name, table in pairs.items()}
    leaked = {
        name: _best_similarity(benchmark_positions[name]["image_id"], table, "benchmark_image_id")
        for name, table in pairs.items()
    }
    none = np.full(positions.num_rows, -np.inf, np.float32)
    best[ALL] = np.max([none, *best.values()], axis=0)
    leaked[ALL] = np.concatenate([np.empty(0, np.float32), *leaked.values()])
    row_of_position = positions["row"].to_numpy()
    records = []
    for name in best:
        for threshold in thresholds:
            reached = best[name] >= np.float32(threshold)
            low, high = wilson_interval(int(reached.sum()), len(reached))
            records.append(
                {
                    "benchmark": name,
                    "rule": SIMILARITY,
                    "threshold": threshold,
                    "images": len(reached),
                    "images_contaminated": int(reached.sum()),
                    "rows": rows,
                    "rows_contaminated": len(np.unique(row_of_position[reached])),
                    "benchmark_images": len(leaked[name]),
                    "benchmark_images_leaked": int((leaked[name] >= np.float32(threshold)).sum()),
                    "rate": reached.mean() if len(reached) else None,
                    "ci_low": low,
                    "ci_high": high,
                }
            )
    return pa.Table.from_pylist(records, schema=RATES_SCHEMA)


def verified_contamination_rates(
    positions: pa.Table, rows: int, benchmark_positions: Mapping[str, pa.Table], pairs: Mapping[str, pa.Table]
) -> pa.Table:
    """Compute rates as `contamination_rates` does, with an image contaminated if it is in a confirmed pair.

    Args:
        positions: as in `contamination_rates`.
        rows: as in `contamination_rates`.
        benchmark_positions: as in `contamination_rates`.
        pairs: verified pairs by benchmark: image_id, benchmark_image_id, verified.

    Returns:
        table of `RATES_SCHEMA`, with null as the threshold.
    """
    confirmed_pairs = {}
    for name, table in pairs.items():
        confirmed = table.filter(table["verified"]).select(["image_id", "benchmark_image_id"])
        similarity = pa.repeat(np.float32(1), confirmed.num_rows)
        confirmed_pairs[name] = confirmed.append_column("similarity", similarity)
    rates = contamination_rates(positions, rows, benchmark_positions, confirmed_pairs, [1.0])
    replaced = {"rule": pa.repeat(VERIFIED, rates.num_rows), "threshold": pa.nulls(rates.num_rows, pa.float64())}
    for name, values in replaced.items():
        rates = rates.set_column(rates.schema.get_field_index(name), RATES_SCHEMA.field(name), values)
    return rates


def _best_similarity(ids: pa.ChunkedArray, pairs: pa.Table, column: str) -> np.ndarray:
    """Return the highest similarity of each id in the pairs: float32 [len(ids)], -inf for an id without a pair."""
    highest = pairs.group_by(column, use_threads=False).aggregate([("similarity", "max")])
    index = pc.index_in(ids, highest[column])
    best: np.ndarray = pc.fill_null(highest["similarity_max"].take(index), -np.inf).to_numpy().astype(np.float32)
    return best
