"""The texts of turns: which they are, what stands for none, and that each is embedded once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.embedding import ClipTexts, load_clip_texts, turns
from visdiv_assets.embedding.turns import (
    TEXTS_SCHEMA,
    KnownTexts,
    ShardTexts,
    embed_turns,
    text_id,
    turn_texts,
)
from visdiv_assets.imaging.id_index import IdSet
from visdiv_assets.sources.schema import schema_of
from visdiv_assets.storage.lake import Lake
from visdiv_assets_tests.conftest import made_once
from visdiv_assets_tests.testing.clip_models import small_clip

#: The turns of a row: user and assistant; None for a row whose texts are unknown.
Turns = Sequence[tuple[str | None, str | None]] | None


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> ClipTexts:
    return load_clip_texts(str(made_once(tmp_path_factory, "clip_of_turns", small_clip)), device="cpu")


def batch(rows: Sequence[Turns]) -> pa.RecordBatch:
    records: list[dict[str, Any]] = [
        {"texts": None if row is None else [{"user": user, "assistant": answer} for user, answer in row]}
        for row in rows
    ]
    return pa.RecordBatch.from_pylist(records, schema_of(["texts"]))


def answers(*texts: str | None) -> list[Turns]:
    """Rows of one turn each."""
    return [[("question", text)] for text in texts]


def embed(embedder: ClipTexts, *batches: pa.RecordBatch, lake: Lake | None = None, **options: Any) -> ShardTexts:
    given = {"first_row": 0, "which": "assistant", "seen": IdSet(), "threads": 2, **options}
    given.setdefault("known", KnownTexts(lake or Lake("/nowhere"), None, ""))
    return embed_turns(batches, embedder, **given)


ROWS: list[Turns] = [
    [("q", "a cat"), ("r", None), ("s", "a dog")],
    [],
    None,
    [("t", ""), (None, "a cat"), (None, None)],
    [("u", "  \n\t"), ("v", "blue")],
]


def test_identities_are_digests_of_the_text() -> None:
    assert text_id("größer") == hashlib.sha256("größer".encode()).hexdigest()[:32]


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ("assistant", ["a cat", "", "a dog", "", "a cat", "", "  \n\t", "blue"]),
        ("user", ["q", "r", "s", "t", "", "", "u", "v"]),
        ("both", ["q\na cat", "r", "s\na dog", "t", "a cat", "", "u\n  \n\t", "v\nblue"]),
    ],
)
def test_the_text_of_a_turn_is_its_answer_its_question_or_both(which: str, expected: list[str]) -> None:
    rows, places, texts = turn_texts(batch([[("cut", "off")], *ROWS]).slice(1), which)
    assert texts == expected
    assert rows.tolist() == [0, 0, 0, 3, 3, 3, 4, 4]
    assert places.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]


def test_every_turn_has_its_row_and_the_text_that_it_has(embedder: ClipTexts) -> None:
    found = embed(embedder, batch(ROWS[:2]), batch(ROWS[2:]), first_row=100)
    cat, dog, blue = (text_id(text) for text in ("a cat", "a dog", "blue"))
    assert found.turns.to_pylist() == [
        {"row": row, "turn": turn, "text_id": name}
        for row, turn, name in [
            (100, 0, cat), (100, 1, None), (100, 2, dog),
            (103, 0, None), (103, 1, cat), (103, 2, None), (104, 0, None), (104, 1, blue),
        ]
    ]  # fmt: skip
    assert found.texts["text_id"].to_pylist() == [cat, dog, blue]
    assert found.texts["tokens"].to_pylist() == [4, 4, 3]
    assert found.computed == 3


def test_vectors_and_norms_are_those_of_the_texts_in_their_order(embedder: ClipTexts) -> None:
    texts = ["the cat of a dog of the image of a cat of a dog of a cat", "red", "a cat", "the blue dog", "of"]
    found = embed(embedder, batch(answers(*texts, "red")))
    expected = embedder.embed(texts)
    assert found.vectors.dtype == np.float16
    assert found.norms.dtype == np.float32
    np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-3)
    np.testing.assert_allclose(found.norms, expected.norms, rtol=1e-4)
    assert found.texts["truncated"].to_pylist() == [True, False, False, False, False]


def test_many_texts_in_several_pools_stay_in_order(embedder: ClipTexts, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"{'cat ' * (number % 7)}{number}" for number in range(40)]
    at_once = embed(embedder, batch(answers(*texts)))
    monkeypatch.setattr(turns, "POOL", 7)
    in_pools = embed(embedder, *(batch(answers(*texts[start : start + 9])) for start in range(0, 40, 9)))
    assert in_pools.texts.equals(at_once.texts)
    np.testing.assert_allclose(in_pools.vectors, at_once.vectors, atol=1e-3)
    assert at_once.texts["text_id"].to_pylist() == [text_id(text) for text in texts]


def test_texts_of_earlier_shards_are_not_embedded_again(embedder: ClipTexts) -> None:
    seen = IdSet()
    first = embed(embedder, batch(answers("a cat", "a dog")), seen=seen)
    seen.add(first.texts["text_id"])
    second = embed(embedder, batch(answers("a dog", "red", "a cat", "red")), seen=seen)
    assert second.texts["text_id"].to_pylist() == [text_id("red")]
    assert second.turns["text_id"].to_pylist() == [text_id(text) for text in ("a dog", "red", "a cat", "red")]
    seen.add(second.texts["text_id"])
    third = embed(embedder, batch(answers("red", "a dog")), seen=seen)
    assert (third.texts.num_rows, third.vectors.shape, third.norms.shape) == (0, (0, 32), (0,))


def test_seen_texts_are_found_however_they_were_added() -> None:
    names = [text_id(str(number)) for number in range(200)]
    seen = IdSet()
    assert not seen.holds(np.array(names, "S32")).any()
    for start in range(0, 150, 37):
        seen.add(pa.chunked_array([pa.array(names[start : min(start + 37, 150)])]))
    assert seen.holds(np.array(names, "S32")).tolist() == [True] * 150 + [False] * 50


def stored(lake: Lake, made: ShardTexts, model_id: str) -> KnownTexts:
    write = lake.write("clip_text_embeddings", "some", code_version="1", model_id=model_id)
    with write.add("shard") as unit:
        unit.array("vectors", made.vectors)
        unit.array("norms", made.norms)
        unit.table("texts", made.texts, TEXTS_SCHEMA)
    return KnownTexts(lake, write.commit(), model_id)


def test_texts_that_are_known_are_not_embedded_again(embedder: ClipTexts, tmp_path: Path) -> None:
    long = "the cat of a dog of the image of a cat of a dog of a cat"
    lake = Lake(tmp_path)
    before = embed(embedder, batch(answers("a cat", long, "red")))
    known = stored(lake, before, embedder.model_id)
    found = embed(embedder, batch(answers("blue", "red", "a dog", long, "a cat")), known=known)
    fresh = embed(embedder, batch(answers("blue", "red", "a dog", long, "a cat")))
    assert (found.computed, fresh.computed) == (2, 5)
    assert found.texts.equals(fresh.texts)
    np.testing.assert_allclose(found.vectors, fresh.vectors, atol=1e-3)
    np.testing.assert_allclose(found.norms, fresh.norms, rtol=1e-4)
    np.testing.assert_array_equal(found.vectors[[4, 3, 1]], before.vectors)


def test_texts_of_another_model_are_not_known(embedder: ClipTexts, tmp_path: Path) -> None:
    made = embed(embedder, batch(answers("a cat")))
    stored(Lake(tmp_path), made, "other@0/text_16")
    manifest = Lake(tmp_path).require("clip_text_embeddings", "some")
    known = KnownTexts(Lake(tmp_path), manifest, embedder.model_id)
    assert embed(embedder, batch(answers("a cat")), known=known).computed == 1


def test_rows_without_texts_give_empty_tables(embedder: ClipTexts) -> None:
    found = embed(embedder, batch([None, [], [("q", " ")]]))
    assert found.turns["text_id"].to_pylist() == [None]
    assert (found.texts.num_rows, found.vectors.shape, found.norms.shape, found.computed) == (0, (0, 32), (0,), 0)
    assert embed(embedder).turns.num_rows == 0


def test_a_text_of_a_megabyte_is_embedded_from_its_beginning(embedder: ClipTexts) -> None:
    found = embed(embedder, batch(answers("a cat", "the cat and 12 dogs. " * 50_000)))
    assert found.texts["truncated"].to_pylist() == [False, True]
    assert found.texts["tokens"].to_pylist()[1] > 300_000
    start = embedder.embed(["the cat and 12 dogs. " * 4]).vectors
    np.testing.assert_allclose(found.vectors[1:], start, atol=1e-3)


def test_progress_counts_rows(embedder: ClipTexts) -> None:
    told: list[int] = []
    embed(embedder, batch(ROWS[:2]), batch(ROWS[2:]), progress=told.append)
    assert told == [2, 3]
