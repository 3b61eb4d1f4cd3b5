"""Counts of verdicts against plain counts, and the sample of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.duplicates.verdicts import COUNTED_COLUMNS, count_verdicts
from visdiv_assets.duplicates.verify import MIN_CONFIDENCE
from visdiv_assets.duplicates.verify_pairs import VERDICT_SCHEMA

relaxed = settings(deadline=None, max_examples=60)

SCHEMA = pa.schema([VERDICT_SCHEMA.field(name) for name in COUNTED_COLUMNS])

#: verified, confidence, evidence and reason of a pair.
Record = tuple[bool | None, float | None, str, str]

CONFIDENCES = st.sampled_from([None, 0.5, 0.98, MIN_CONFIDENCE, 0.999, 1.0])
RECORDS: st.SearchStrategy[Record] = st.one_of(
    st.tuples(st.just(True), CONFIDENCES, st.sampled_from(["cropped", "aligned"]), st.just("")),
    st.tuples(
        st.just(False), CONFIDENCES, st.just("unconfirmed"), st.sampled_from(["no alignment", "contents differ"])
    ),
    st.tuples(st.none(), CONFIDENCES, st.just("unconfirmed"), st.sampled_from(["too small", "unreadable"])),
)


def batches_of(records: list[Record], rows: int) -> Iterator[pa.RecordBatch]:
    table = pa.table([pa.array([each[n] for each in records], field.type) for n, field in enumerate(SCHEMA)], SCHEMA)
    yield from table.to_batches(max_chunksize=rows)


def records_of(table: pa.Table) -> list[tuple[object, ...]]:
    return list(zip(*table.to_pydict().values(), strict=True))


@relaxed
@given(st.lists(RECORDS, max_size=30), st.integers(1, 9))
def test_verdicts_are_counted_as_one_by_one(records: list[Record], rows: int) -> None:
    found = count_verdicts(batches_of(records, rows))
    verdicts = Counter(each[0] for each in records)
    assert (found.pairs, found.confirmed, found.rejected, found.undecided) == (
        len(records),
        verdicts[True],
        verdicts[False],
        verdicts[None],
    )
    confirmed = [each[1] for each in records if each[0]]
    assert found.without_confidence == confirmed.count(None)
    assert found.below_floor == sum(value is not None and value < MIN_CONFIDENCE for value in confirmed)
    assert found.undecided_share == (verdicts[None] / len(records) if records else 0)
    by_evidence = Counter((each[2], each[3]) for each in records)
    assert records_of(found.by_evidence) == [
        (*names, count) for names, count in sorted(by_evidence.items(), key=lambda item: (-item[1], item[0]))
    ]
    reasons = Counter(each[3] for each in records if each[0] is None)
    assert records_of(found.undecided_reasons) == sorted(reasons.items(), key=lambda item: (-item[1], item[0]))


def test_pairs_of_older_versions_have_no_confidence() -> None:
    records: list[Record] = [(True, None, "cropped", ""), (False, None, "unconfirmed", "no alignment")]
    older = (batch.drop_columns(["confidence"]) for batch in batches_of(records, 1))
    found = count_verdicts(older)
    assert (found.confirmed, found.below_floor, found.without_confidence) == (1, 0, 1)
