"""Zero-shot scores equal a plain reference of the formula."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.curation.image_types.by_features import TYPES
from visdiv_assets.curation.image_types.zero_shot import (
    TOPIC_PROMPTS,
    TOPICS,
    TYPE_PROMPTS,
    PromptVectors,
    read_prompts,
    zero_shot_scores,
)
from visdiv_assets.embedding.loading import load_clip_texts
from visdiv_assets.errors import InputError
from visdiv_assets_tests.testing.clip_models import small_clip


def unit(vector: np.ndarray) -> np.ndarray:
    found: np.ndarray = vector / math.sqrt(float(vector @ vector))
    return found


def test_every_type_and_topic_has_prompts() -> None:
    assert set(read_prompts(TYPE_PROMPTS)) == {(name,) for name in TYPES}
    assert set(read_prompts(TOPIC_PROMPTS)) == {(name, side) for name in TOPICS for side in ("safe", "unsafe")}


def test_scores_are_those_of_a_plain_reference(tmp_path: Path) -> None:
    clip = load_clip_texts(str(small_clip(tmp_path / "clip")), device="cpu")
    prompts = PromptVectors.embed(lambda texts: clip.embed(texts).vectors)

    def ensemble(path: Path, *name: str) -> np.ndarray:
        vectors = [unit(clip.embed([prompt]).vectors[0].astype(float)) for prompt in read_prompts(path)[name]]
        return unit(np.mean(vectors, axis=0))

    random = np.random.default_rng(0)
    images = np.stack([unit(row) for row in random.standard_normal((40, 32))])
    batches = list(zero_shot_scores([images[:25].astype(np.float16), images[25:].astype(np.float16)], prompts))
    found = pa.Table.from_batches(batches).to_pylist()
    assert len(found) == 40
    for image, row in zip(images.astype(np.float16).astype(float), found, strict=True):
        logits = [100 * float(image @ ensemble(TYPE_PROMPTS, name)) for name in TYPES]
        powers = [math.exp(each - max(logits)) for each in logits]
        probability = max(powers) / sum(powers)
        best = TYPES[powers.index(max(powers))]
        assert row["type_score"] == pytest.approx(probability, abs=1e-3)
        assert row["type"] == (best if probability >= 0.5 else None) or abs(probability - 0.5) < 1e-3
        scores = {}
        for name in TOPICS:
            unsafe, safe = (ensemble(TOPIC_PROMPTS, name, side) for side in ("unsafe", "safe"))
            scores[name] = 1 / (1 + math.exp(-100 * float(image @ unsafe - image @ safe)))
            assert row[name] == pytest.approx(scores[name], abs=2e-3)
        assert row["score"] == max(row[name] for name in TOPICS) == row[row["topic"]]


def test_vectors_that_are_not_finite_are_refused() -> None:
    vectors = np.eye(4, dtype=np.float32)
    prompts = PromptVectors(np.ones((8, 4), np.float32), np.ones((5, 4), np.float32), np.zeros((5, 4), np.float32))
    with pytest.raises(InputError):
        list(zero_shot_scores([vectors * np.nan], prompts))
