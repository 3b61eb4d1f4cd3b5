"""The pairs to review and the decisions on them, in a temporary database: slices, counts, and the random sample."""

from __future__ import annotations

import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from visdiv_assets.duplicates.person_decisions import RIGHT, UNSURE, WRONG, Decisions
from visdiv_assets.duplicates.review_sample import review_sample
from visdiv_assets.publishing.review.filters import MAX_SAMPLE, Filters
from visdiv_assets.publishing.review.pair_loading import KINDS, load_pairs
from visdiv_assets.statistics import wilson_interval
from visdiv_assets.storage.lake import Lake

#: Maximum pairs of a slice.
SLICE = 200

_SAID = (RIGHT, WRONG, UNSURE)
_JOINED = "FROM pairs p LEFT JOIN sampled_pairs s USING (number) LEFT JOIN marks m USING (pair_key)"
_SUMMARY = "p.number, p.verdict, p.shown AS evidence"


@dataclass(frozen=True)
class Progress:
    """How far the review of the listed pairs is.

    Attributes:
        pairs: pairs that the filters list, whatever a person said of them.
        marked: pairs of these on which a person said something.
        right, wrong, unsure: what was said.
        low: lower bound of the 95 % interval of the share of right ones among the pairs marked right or wrong; None
            without any.
        high: its upper bound.
    """

    pairs: int
    marked: int
    right: int
    wrong: int
    unsure: int
    low: float | None
    high: float | None


class PairIndex:
    """A context manager of the compared pairs of a lake, numbered in the order of review. Safe for several threads."""

    def __init__(self, lake: Lake) -> None:
        """Load the pairs into a database in a temporary folder.

        Raises:
            NotMaterializedError: no pairs were ever compared.
        """
        import duckdb

        self._lock = threading.Lock()
        self._folder = Path(tempfile.mkdtemp(prefix="visdiv-review-"))
        try:
            self._connection = duckdb.connect(
                str(self._folder / "pairs.duckdb"),
                config={"autoinstall_known_extensions": False, "autoload_known_extensions": False},
            )
            self.pairs = load_pairs(lake, self._connection)
            self._draw_samples()
            self.set_marks(Decisions())
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def __enter__(self) -> PairIndex:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def set_marks(self, decisions: Decisions) -> None:
        """Replace what people said of the pairs."""
        marks = decisions.table.select(["image_id_a", "image_id_b", "decision", "sampled"])
        with self._lock:
            self._connection.register("given", marks)
            self._connection.execute(
                "CREATE OR REPLACE TABLE marks AS "
                "SELECT image_id_a || ' ' || image_id_b AS pair_key, decision, sampled FROM given"
            )
            self._connection.unregister("given")

    def slice_after(self, filters: Filters, place: int, limit: int) -> list[dict[str, Any]]:
        """Return the listed pairs after a place in the list, in order, each with its `place`."""
        return self._slice(filters, ">", place, "ASC", limit)

    def slice_before(self, filters: Filters, place: int, limit: int) -> list[dict[str, Any]]:
        """Return the listed pairs before a place in the list, in order; the last ones if there are more."""
        return self._slice(filters, "<", place, "DESC", limit)[::-1]

    def first_unmarked(self, filters: Filters) -> int | None:
        """Return the place of the first listed pair of which nobody said anything; None if there is none."""
        condition = filters.condition()
        first: int | None = self._rows(
            f"SELECT min({filters.place}) {_JOINED} WHERE {condition.sql} AND {filters.said} IS NULL",
            condition.parameters,
        )[0][0]
        return first

    def count(self, filters: Filters, before: int | None = None) -> int:
        """Return the number of listed pairs, or of those before a place."""
        condition = filters.condition()
        if before is not None:
            condition.add(f"{filters.place} < ?", before)
        return int(self._rows(f"SELECT count(*) {_JOINED} WHERE {condition.sql}", condition.parameters)[0][0])

    def progress(self, filters: Filters) -> Progress:
        """Return how far the review of the listed pairs is."""
        condition = filters.condition(marks=False)
        counts = ", ".join(f"count(*) FILTER ({filters.said} = '{name}')" for name in _SAID)
        ((pairs, right, wrong, unsure),) = self._rows(
            f"SELECT count(*), {counts} {_JOINED} WHERE {condition.sql}", condition.parameters
        )
        low, high = wilson_interval(right, right + wrong)
        return Progress(pairs, right + wrong + unsure, right, wrong, unsure, low, high)

    def facets(self, kind: str) -> dict[str, list[tuple[str, int]]]:
        """Return the values to filter by, each with its number of pairs; the most frequent first."""
        expressions = {
            "verdict": "verdict",
            "evidence": "shown",
            "subset": "unnest(subsets)",
            "benchmark": "unnest(benchmarks)",
        }
        return {
            name: self._rows(
                f"SELECT value, count(*) FROM (SELECT {expression} AS value FROM pairs WHERE kind = ?) "
                "GROUP BY value ORDER BY count(*) DESC, value",
                [kind],
            )
            for name, expression in expressions.items()
        }

    def counts(self) -> dict[str, int]:
        """Return the number of pairs of each kind."""
        return dict(self._rows("SELECT kind, count(*) FROM pairs GROUP BY kind", []))

    def find(self, number: int) -> dict[str, Any] | None:
        """Return all that is stored of a pair, with what a person said of it; None if there is no such pair."""
        found = self._records(
            f"SELECT p.*, s.place AS sample_place, m.decision AS mark, coalesce(m.sampled, false) AS sampled {_JOINED} "
            "WHERE p.number = ?",
            [number],
        )
        return found[0] if found else None

    def _draw_samples(self) -> None:
        """Create the table `sampled_pairs`: confirmed pairs of each kind in random order, the first `MAX_SAMPLE`."""
        self._connection.execute("CREATE TABLE sampled_pairs (number BIGINT, place BIGINT)")
        for kind in KINDS:
            confirmed = self._connection.sql(
                "SELECT number, image_id_a, image_id_b FROM pairs WHERE verdict = 'confirmed' AND kind = ?",
                params=[kind],
            )
            drawn = review_sample(confirmed.to_arrow_reader(), MAX_SAMPLE)
            if drawn is not None:
                places = pa.array(np.arange(1, drawn.num_rows + 1))
                self._connection.register("drawn", pa.table({"number": drawn["number"], "place": places}))
                self._connection.execute("INSERT INTO sampled_pairs SELECT number, place FROM drawn")
                self._connection.unregister("drawn")

    def _slice(self, filters: Filters, side: str, place: int, order: str, limit: int) -> list[dict[str, Any]]:
        condition = filters.condition()
        condition.add(f"{filters.place} {side} ?", place)
        return self._records(
            f"SELECT {_SUMMARY}, {filters.place} AS place, {filters.said} AS mark {_JOINED} "
            f"WHERE {condition.sql} ORDER BY place {order} LIMIT ?",
            [*condition.parameters, min(limit, SLICE)],
        )

    def _records(self, sql: str, parameters: list[Any]) -> list[dict[str, Any]]:
        with self._lock:
            result = self._connection.execute(sql, parameters)
            names = [column[0] for column in result.description or []]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def _rows(self, sql: str, parameters: list[Any]) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(sql, parameters).fetchall()
