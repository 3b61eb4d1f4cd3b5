"""Signatures of texts, compared with sets of tuples of words and with hashes computed one by one."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.texts import signatures
from visdiv_assets.texts.signatures import (
    ANSWER,
    BUCKET_HASHES,
    BUCKETS,
    NGRAM_WORDS,
    QUESTION,
    Signatures,
    hash_names,
    hashes_of_names,
    mix,
    sign_turns,
    text_hash,
)
from visdiv_assets.texts.simplify import numbers_of, simplified_words, simplify_text

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "e7", "f"]), max_size=14).map(" ".join)
TURNS = st.lists(st.tuples(WORDS, WORDS), max_size=4)


def batch(rows: Sequence[Sequence[tuple[str | None, str | None]] | None]) -> pa.RecordBatch:
    texts = [
        None if turns is None else [{"user": user, "assistant": answer} for user, answer in turns] for turns in rows
    ]
    kind = pa.list_(pa.struct([("user", pa.string()), ("assistant", pa.string())]))
    return pa.record_batch({"texts": pa.array(texts, kind)})


def sign(*batches: pa.RecordBatch, first_row: int = 0) -> Signatures:
    return sign_turns(batches, first_row=first_row)


def ngrams(text: str) -> set[tuple[str, ...]]:
    words = simplified_words(text)
    return {tuple(words[i : i + NGRAM_WORDS]) for i in range(len(words) - NGRAM_WORDS + 1)}


def test_case_accents_punctuation_and_numbers_do_not_count() -> None:
    assert simplify_text("  Où est\tla  Café-Bar,\n n° 17 (1889)? ") == "ou est la cafebar n° 0 0"
    assert simplified_words("第 3 图:猫和狗 next") == ["第", "0", "图", "猫", "和", "狗", "next"]
    assert numbers_of("from 17 to 1889.5") == "17 1889 5"


@given(st.text(max_size=60))
def test_simplifying_follows_its_steps_one_by_one(text: str) -> None:
    removed = {*"!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»"}  # noqa: RUF001
    removed |= {chr(code) for code in (*range(9), 11, 12, *range(13, 32), *range(127, 160))}
    plain = " ".join(re.split(r"[\s\x1c-\x1f]+", text.lower())).strip()
    plain = "".join(char for char in plain if char not in removed)
    plain = "".join(char for char in unicodedata.normalize("NFD", plain) if unicodedata.category(char) != "Mn")
    assert simplify_text(text) == re.sub(r"\d+", "0", plain).strip()


@settings(deadline=None, max_examples=150)
@given(rows=st.lists(st.one_of(st.none(), TURNS), max_size=5), first_row=st.integers(0, 9), cached=st.integers(1, 30))
def test_signatures_are_those_of_sets_of_words(
    rows: list[list[tuple[str, str]] | None], first_row: int, cached: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signatures, "_CACHED", cached)
        patch.setattr(signatures, "BLOCK_TEXTS", 2)
        signed = sign(*(batch([row]) for row in rows), first_row=first_row)
    turns = [(*turn, first_row + index) for index, row in enumerate(rows) for turn in row or []]
    assert signed.turns.tolist() == [[text_hash(user), text_hash(answer), row] for user, answer, row in turns]
    sides: dict[str, int] = {}
    for user, answer, _ in turns:
        for text, side in ((user, QUESTION), (answer, ANSWER)):
            if ngrams(text):
                sides[text] = sides.get(text, 0) | side
    by_hash = {text_hash(text): text for text in sides}
    assert sorted(signed.texts[:, 0].tolist()) == sorted(by_hash)
    ends = np.cumsum(signed.texts[:, 3].astype(np.int64))
    hashed: dict[int, set[tuple[str, ...]]] = {}
    for (key, numbers, side, count), end in zip(signed.texts.tolist(), ends.tolist(), strict=True):
        text = by_hash[key]
        held = signed.ngrams[end - count : end, 0].tolist()
        assert held == sorted(set(held))
        assert (numbers, side, count) == (text_hash(numbers_of(text)), sides[text], len(ngrams(text)))
        hashed[key] = set(held)
    for one in hashed:
        for other in hashed:
            assert len(hashed[one] & hashed[other]) == len(ngrams(by_hash[one]) & ngrams(by_hash[other]))
    assert len(signed.ngrams) == (ends[-1] if len(ends) else 0)


def test_a_bucket_is_the_hash_of_eight_minima() -> None:
    random = np.random.default_rng(0)
    counts = np.array([1, 40, 3])
    hashes = random.integers(1 << 63, size=counts.sum(), dtype=np.uint64)
    found = signatures.bucket_hashes(hashes, counts)
    for text, part in enumerate(np.split(hashes, np.cumsum(counts)[:-1])):
        for bucket in range(BUCKETS):
            expected = np.zeros(1, np.uint64)
            for number in range(bucket * BUCKET_HASHES, (bucket + 1) * BUCKET_HASHES):
                factor, summand = (int(values[number]) for values in signatures.permutations())
                least = min((int(value) * factor + summand) % 2**64 for value in part)
                expected = mix(expected, np.array([least], np.uint64))
            assert found[text, bucket] == expected[0]


def test_text_ids_are_the_first_bytes_of_sha_256() -> None:
    names = hash_names(np.array([text_hash("What is it?"), text_hash(" \n")], np.uint64))
    assert names.to_pylist() == [hashlib.sha256(b"What is it?").hexdigest()[:16], "0" * 16]
    assert hashes_of_names(names).tolist() == [text_hash("What is it?"), 0]
    assert len(hash_names(np.empty(0, np.uint64))) == len(hashes_of_names(pa.array([], pa.string()))) == 0
