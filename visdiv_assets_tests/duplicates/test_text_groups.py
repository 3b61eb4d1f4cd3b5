"""Groups of repeated texts, compared with counts over dictionaries."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.duplicates import text_corpus, text_groups
from visdiv_assets.duplicates.text_corpus import TextCorpus
from visdiv_assets.duplicates.text_groups import KINDS, GroupRule, Kind, add_up, fully_repeated_rows, group_turns
from visdiv_assets.duplicates.text_near import Clusters, in_part, part_count
from visdiv_assets.storage.arrays import StackedArray

#: Rows of a subset: the images (a number) and the turns (hashes of question and answer; 0: empty) of each.
Rows = list[tuple[int, list[tuple[int, int]]]]

SIDE = st.integers(0, 3)
ROWS: st.SearchStrategy[Rows] = st.lists(
    st.tuples(st.integers(0, 3), st.lists(st.tuples(SIDE, SIDE), max_size=4)), max_size=6
)
NO_CLUSTERS = Clusters(np.empty(0, np.uint64), np.empty(0, np.uint64))
TEMPLATE_IMAGES = 2


def spread(value: int) -> int:
    """Return a hash whose parts differ for small numbers; 0 stays 0."""
    return (value << 62 | value) % 2**64


def corpus_of(subsets: dict[str, Rows]) -> tuple[TextCorpus, GroupRule]:
    turns, images = [], []
    for rows in subsets.values():
        flat = [[spread(q), spread(a), row] for row, (_, of_row) in enumerate(rows) for q, a in of_row]
        turns.append(StackedArray([np.array(flat, np.uint64).reshape(-1, 3)]))
        images += [spread(image) for image, _ in rows]
    nothing = StackedArray([np.empty((0, 4), np.uint64)])
    first_row = np.cumsum([0, *(len(rows) for rows in subsets.values())])
    first_turn = np.cumsum([0, *map(len, turns)])
    corpus = TextCorpus(list(subsets), turns, first_turn, first_row, nothing, nothing, nothing)
    clusters = {
        # Questions 1 and 2 are near duplicates, and answers 2 and 3.
        "question": Clusters(np.array([spread(1), spread(2)], np.uint64), np.array([spread(1), spread(1)], np.uint64)),
        "answer": Clusters(np.array([spread(2), spread(3)], np.uint64), np.array([spread(2), spread(2)], np.uint64)),
    }
    return corpus, GroupRule(np.array(images, np.uint64), clusters, TEMPLATE_IMAGES)


def key_of(kind: Kind, question: int, answer: int, image: int) -> Any:
    if kind.match == "near":
        question, answer = (1 if question == 2 else question), (2 if answer == 3 else answer)
    key: Any = {"question": question, "answer": answer}.get(kind.name.removesuffix("_on_image"), (question, answer))
    return (key, image) if kind.on_image else key


def plain(subsets: dict[str, Rows], kind: Kind) -> tuple[dict[str, Counter[str]], set[tuple[str, int, int, bool]]]:
    """Return counts by subset, and the turns of groups with whether each is the first."""
    members = defaultdict(list)
    for subset, rows in subsets.items():
        for row, (image, turns) in enumerate(rows):
            for turn, (question, answer) in enumerate(turns):
                texts = {"question": question, "question_on_image": question, "answer": answer}
                if texts.get(kind.name, question or answer):
                    exact = key_of(kind._replace(match="exact"), question, answer, image)
                    at = (subset, row, turn, image, answer, exact)
                    members[key_of(kind, question, answer, image)].append(at)
    counts: dict[str, Counter[str]] = {name: Counter() for name in (*subsets, "ALL")}
    turns_found = set()
    for group in members.values():
        is_group = len(group) > 1 and (not kind.on_image or len({at[:2] for at in group}) > 1)
        is_group = is_group and (kind.match == "exact" or len({at[5] for at in group}) > 1)
        different = len({at[3] for at in group}) >= TEMPLATE_IMAGES and len({at[4] for at in group}) > 1
        template = is_group and kind.name == "question" and different
        here = Counter(at[0] for at in group)
        for name in (*here, "ALL"):
            counts[name]["texts"] += 1
            counts[name]["templates"] += template
        for index, at in enumerate(group):
            for name in (at[0], "ALL"):
                counts[name]["turns"] += 1
                counts[name]["of_templates"] += template
                if is_group and not template:
                    counts[name]["repeated"] += 1
                    counts[name]["repeated_within"] += here[at[0]] > 1
                    counts[name]["repeated_across"] += len(here) > 1
                    counts[name]["redundant"] += index > 0
            if is_group and kind.lists_turns:
                turns_found.add((*at[:3], index == 0))
    return counts, turns_found


@settings(deadline=None, max_examples=120)
@given(
    first=ROWS,
    second=ROWS,
    kind=st.sampled_from(KINDS),
    parts=st.sampled_from([1, 2, 4]),
    block=st.sampled_from([2, 99]),
)
def test_groups_are_those_of_dictionaries(first: Rows, second: Rows, kind: Kind, parts: int, block: int) -> None:
    subsets = {"a": first, "b": second}
    corpus, rule = corpus_of(subsets)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_corpus, "BLOCK", block)
        found = [group_turns(corpus, kind, rule, part, parts) for part in range(parts)]
    expected, turns = plain(subsets, kind)
    summary = add_up(pa.concat_tables([each.counts for each in found])).to_pylist()
    assert [record["subset"] for record in summary] == ["a", "b", "ALL"]
    for record in summary:
        counts = expected[record["subset"]]
        assert {name: record[name] for name in text_groups._COUNTS} == {
            name: counts[name] for name in text_groups._COUNTS
        }
        assert record["share"] == (counts["repeated"] / counts["turns"] if counts["turns"] else None)
    listed = pa.concat_tables([each.turns for each in found]).to_pylist()
    assert len(listed) == len(turns)
    assert {(each["subset"], each["row"], each["turn"], each["is_first"]) for each in listed} == turns


@given(first=ROWS, second=ROWS)
def test_rows_are_repeated_if_all_their_turns_are(first: Rows, second: Rows) -> None:
    subsets = {"a": first, "b": second}
    corpus, rule = corpus_of(subsets)
    kind = Kind("pair_on_image", "exact")
    found = fully_repeated_rows(corpus, group_turns(corpus, kind, rule, 0, 1).turns)
    at: dict[tuple[int, tuple[int, int]], set[tuple[str, int]]] = defaultdict(set)
    for subset, rows in subsets.items():
        for row, (image, turns) in enumerate(rows):
            for turn in turns:
                at[image, turn].add((subset, row))
    expected = [
        {"subset": subset, "row": row}
        for subset, rows in subsets.items()
        for row, (image, turns) in enumerate(rows)
        if turns and all(turn != (0, 0) and len(at[image, turn]) > 1 for turn in turns)
    ]
    assert found.to_pylist() == expected


@given(st.integers(0, 20 * text_corpus.PART))
def test_parts_are_powers_of_two_that_hold_every_hash_once(items: int) -> None:
    parts = part_count(items)
    assert parts.bit_count() == 1
    assert items <= parts * text_corpus.PART
    hashes = np.random.default_rng(items).integers(1 << 64, size=50, dtype=np.uint64)
    held = np.concatenate([in_part(hashes, part, parts) for part in range(parts)])
    assert sorted(held.tolist()) == list(range(50))
