"""Find texts of benchmarks in the questions and answers of a subset, and compute the share of rows that have them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.turns import stored_strings
from visdiv_assets.progress import Progress, silent
from visdiv_assets.sources.conform import positions_of_entries
from visdiv_assets.statistics import ALL, wilson_interval
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.texts.overlap import OVERLAP_SCHEMA, BenchmarkTexts, find_text_overlaps

#: Maximum number of texts of a benchmark that may share an n-gram or a short text: what occurs in more texts is part of
#: the benchmark's template (Brown et al. 2020, appendix C).
MAX_TEXTS_OF_A_RUN = 10

#: Minimum number of words of a whole text that matches one of a benchmark: "yes" and "a red car" match by chance.
MIN_WHOLE_WORDS = 5

#: The two sides of a turn.
SIDES = ("user", "assistant")

TEXT_OVERLAPS_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("turn", pa.int32()),
        ("side", pa.string()),
        *(field for field in OVERLAP_SCHEMA if field.name != "text"),
    ]
)
TEXT_RATES_SCHEMA = pa.schema(
    [
        ("benchmark", pa.string()),
        ("size", pa.int32()),
        ("rows", pa.int64()),
        ("rows_found", pa.int64()),
        ("rows_half_found", pa.int64()),
        ("rate", pa.float64()),
        ("ci_low", pa.float64()),
        ("ci_high", pa.float64()),
    ]
)


def read_benchmark_texts(lake: Lake, strings: Manifest) -> BenchmarkTexts:
    """Read the n-grams and short texts of a benchmark from all its strings, options and answers included.

    Args:
        lake: where they lie.
        strings: manifest of `benchmark_strings`.
    """
    return BenchmarkTexts.of(strings.partition, stored_strings(lake, strings), max_texts=MAX_TEXTS_OF_A_RUN)


def find_contaminated_texts(
    batches: Iterable[pa.RecordBatch],
    benchmarks: Iterable[BenchmarkTexts],
    *,
    first_row: int,
    progress: Progress = silent,
) -> pa.Table:
    """Find the questions and answers of a shard that have n-grams, or the whole text, in common with benchmarks.

    Args:
        batches: rows of the shard, with a column `texts`.
        benchmarks: texts of benchmarks, as `read_benchmark_texts` reads them.
        first_row: index of the shard's first row in the subset.
        progress: called with the number of rows finished.

    Returns:
        table of `TEXT_OVERLAPS_SCHEMA`, only of texts with a match, sorted by row, turn, side (user first), benchmark
        and size; see `texts.overlap.find_text_overlaps`. Size 0 is a whole text of at least `MIN_WHOLE_WORDS` words.
    """
    rows, turns, sides = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.int64)]

    def texts() -> Iterator[pa.Array]:
        first = first_row
        for batch in batches:
            column = batch.column("texts")
            row, turn = positions_of_entries(column.value_lengths())
            flat = column.flatten()
            for index, side in enumerate(SIDES):
                rows.append(row + first)
                turns.append(turn)
                sides.append(np.full(len(row), index))
                yield flat.field(side)
            first += batch.num_rows
            progress(batch.num_rows)

    found = find_text_overlaps(texts(), benchmarks)
    text = found["text"].to_numpy()
    side = np.concatenate(sides)[text]
    located = pa.table(
        [
            np.concatenate(rows)[text],
            np.concatenate(turns)[text].astype(np.int32),
            pa.array(np.array(SIDES, object)[side], pa.string()),
            *(found[name] for name in TEXT_OVERLAPS_SCHEMA.names[3:]),
        ],
        schema=TEXT_OVERLAPS_SCHEMA,
    )
    kept = pc.or_(pc.greater(found["size"], 0), pc.greater_equal(found["longest"], MIN_WHOLE_WORDS))
    order = np.lexsort((np.arange(len(text)), side, located["turn"].to_numpy(), located["row"].to_numpy()))
    return located.take(pa.array(order)).filter(kept.take(pa.array(order)))


def text_contamination_rates(found: pa.Table, rows: int, benchmarks: Sequence[str], sizes: Sequence[int]) -> pa.Table:
    """Compute the share of a subset's rows with texts of each benchmark, and of all together (`ALL`).

    Args:
        found: table of `TEXT_OVERLAPS_SCHEMA`.
        rows: number of rows of the subset.
        benchmarks: names of the benchmarks that were compared.
        sizes: numbers of words of an n-gram; 0 for whole texts.

    Returns:
        table of `TEXT_RATES_SCHEMA`, by benchmark, `ALL` last, and size: the rows with at least one n-gram of the
        benchmark, and those of them with a text that has half of its n-grams in common with it. rate = rows_found /
        rows, with its Wilson interval at 95 % (`wilson_interval`); null if there are no rows.
    """
    records = []
    for name in (*sorted(benchmarks), ALL):
        of_benchmark = found if name == ALL else found.filter(pc.equal(found["benchmark"], name))
        for size in sizes:
            some = of_benchmark.filter(pc.equal(of_benchmark["size"], size))
            half = some.filter(pc.greater_equal(some["share"], 0.5))
            held, half_held = (pc.count_distinct(table["row"]).as_py() for table in (some, half))
            low, high = wilson_interval(held, rows)
            rate = held / rows if rows else None
            records.append((name, size, rows, held, half_held, rate, low, high))
    return pa.Table.from_pylist(
        [dict(zip(TEXT_RATES_SCHEMA.names, record, strict=True)) for record in records], schema=TEXT_RATES_SCHEMA
    )
