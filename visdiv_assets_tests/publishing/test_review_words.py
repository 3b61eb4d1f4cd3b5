"""The sentences on precision say what people judged, of confirmed pairs only."""

from __future__ import annotations

import pyarrow as pa
import pytest

from visdiv_assets.duplicates.person_decisions import DECISIONS_SCHEMA
from visdiv_assets.publishing.review_words import judged_pairs, precision_sentences

NAMES = [f"{number:032x}" for number in range(41)]


def compared(verified: bool | None = True) -> pa.Table:
    """Forty pairs of the first image and another."""
    return pa.table(
        {
            "image_id_a": [NAMES[0]] * 40,
            "image_id_b": NAMES[1:],
            "verified": pa.array([verified] * 40, pa.bool_()),
        }
    )


def decided(decisions: list[str], *, sampled: int) -> pa.Table:
    """Decisions on the first pairs, as many of which are sampled."""
    records = [
        {"image_id_a": NAMES[0], "image_id_b": NAMES[1 + number], "decision": decision, "sampled": number < sampled}
        for number, decision in enumerate(decisions)
    ]
    return pa.Table.from_pylist(records, schema=DECISIONS_SCHEMA)


def sentences(decisions: list[str], *, sampled: int = 0, verified: bool | None = True) -> list[str]:
    return precision_sentences(judged_pairs(compared(verified), decided(decisions, sampled=sampled)))


def test_the_random_sample_measures_the_precision() -> None:
    assert sentences(["wrong"] * 12 + ["right"] * 28, sampled=40) == [
        "12 of 40 confirmed pairs of a random sample were judged wrong: precision 70.0 %, 95 % interval 54.6 to 81.9 %."
    ]


def test_pairs_that_people_picked_are_said_to_be_picked() -> None:
    (said,) = sentences(["wrong", "right"])
    assert said.startswith("1 of 2 confirmed pairs that people looked at were judged wrong: precision 50.0 %")
    assert said.endswith("People may have picked these pairs, so others may be better or worse.")


def test_the_sample_and_all_judged_pairs_have_a_sentence_each() -> None:
    sampled, every = sentences(["right", "right", "wrong"], sampled=2)
    assert sampled.startswith("0 of 2 confirmed pairs of a random sample")
    assert every.startswith("1 of 3 confirmed pairs that people looked at")


@pytest.mark.parametrize("verified", [False, None])
def test_only_confirmed_pairs_count(verified: bool | None) -> None:
    assert sentences(["right", "wrong"], verified=verified) == []


def test_nothing_is_said_if_nobody_judged() -> None:
    assert sentences([]) == []


def test_a_pair_in_two_subsets_counts_once() -> None:
    both = judged_pairs(pa.concat_tables([compared(), compared()]), decided(["wrong"], sampled=1))
    assert both.num_rows == 1
