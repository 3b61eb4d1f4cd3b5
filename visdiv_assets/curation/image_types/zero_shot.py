"""What images show by CLIP, without training: their vectors are compared with those of prompts.

A class has several prompts, an ensemble (Radford et al. 2021, "Learning Transferable Visual Models From Natural
Language Supervision", section 3.1.4): the vector of the class is the mean of their unit vectors, with length 1.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from visdiv_assets.curation.image_types.by_features import TYPES
from visdiv_assets.vectors.matrix import as_float32, check_matrix

#: The factor of similarities before the softmax: that with which OpenAI's CLIP was trained, exp of its logit scale.
SCALE = 100.0
#: Minimum probability of a type that is given.
MIN_PROBABILITY = 0.5

#: Topics of inappropriate content. The prompts of `offensive` are those from which Q16 (Schramowski et al. 2022, arXiv
#: 2202.06675) starts; it learns better ones, which do not come with this package.
TOPICS = ("sexual", "violence", "hate", "self_harm", "offensive")

TYPE_PROMPTS = Path(__file__).with_name("image_type_prompts.csv")
TOPIC_PROMPTS = Path(__file__).with_name("inappropriate_prompts.csv")

SCORES_SCHEMA = pa.schema(
    [
        ("type", pa.string()),
        ("type_score", pa.float32()),
        ("topic", pa.string()),
        ("score", pa.float32()),
        *((name, pa.float32()) for name in TOPICS),
    ]
)

#: A function that embeds prompts: unit vectors, float32 [n, d].
Embed = Callable[[Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class PromptVectors:
    """Unit vectors of classes.

    Attributes:
        types: float32 [types, d], in the order of `TYPES`.
        unsafe: float32 [topics, d], in the order of `TOPICS`: of images that show the topic.
        safe: float32 [topics, d]: of images that do not.
    """

    types: np.ndarray
    unsafe: np.ndarray
    safe: np.ndarray

    @classmethod
    def embed(cls, embed: Embed) -> PromptVectors:
        """Embed the prompts that come with the package."""
        types, topics = read_prompts(TYPE_PROMPTS), read_prompts(TOPIC_PROMPTS)
        return cls(
            _ensemble([types[name,] for name in TYPES], embed),
            _ensemble([topics[name, "unsafe"] for name in TOPICS], embed),
            _ensemble([topics[name, "safe"] for name in TOPICS], embed),
        )


def read_prompts(path: Path) -> Mapping[tuple[str, ...], list[str]]:
    """Return the prompts of a file by all columns before the last."""
    found: dict[tuple[str, ...], list[str]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        _, *lines = csv.reader(file)
    for *name, prompt in lines:
        found.setdefault(tuple(name), []).append(prompt)
    return found


def _ensemble(prompts: Sequence[Sequence[str]], embed: Embed) -> np.ndarray:
    """Return the vector of each class, the normalized mean of the unit vectors of its prompts: float32 [k, d]."""
    vectors = embed([prompt for of_class in prompts for prompt in of_class])
    ends = np.cumsum([len(of_class) for of_class in prompts])
    means = np.stack([part.mean(axis=0) for part in np.split(vectors, ends[:-1])])
    normalized: np.ndarray = means / np.linalg.norm(means, axis=1, keepdims=True)
    return normalized.astype(np.float32)


def zero_shot_scores(blocks: Iterable[np.ndarray], prompts: PromptVectors) -> Iterator[pa.RecordBatch]:
    """Yield the type and the scores of images: batches of `SCORES_SCHEMA`, one per block.

    `type_score` is the largest part of softmax(`SCALE` * cosines with the types); the type is null below
    `MIN_PROBABILITY`. The score of a topic is the sigmoid of `SCALE` * (cosine with its prompts - cosine with those of
    its opposite): above 0.5 the image is closer to the former. `score` is the largest one, `topic` has it.

    Args:
        blocks: unit vectors of images [n, d].
        prompts: vectors of the same model.

    Raises:
        InputError: a vector is not finite.
    """
    from scipy.special import expit, softmax

    for block in blocks:
        vectors = check_matrix(as_float32(block), 0)
        probabilities = softmax(SCALE * (vectors @ prompts.types.T), axis=1)
        best = probabilities.argmax(axis=1)
        certain = np.take_along_axis(probabilities, best[:, None], axis=1)[:, 0]
        scores = expit(SCALE * (vectors @ (prompts.unsafe - prompts.safe).T))
        worst = scores.argmax(axis=1)
        columns = [
            pa.array(TYPES).take(pa.array(best, mask=certain < MIN_PROBABILITY)),
            pa.array(certain.astype(np.float32)),
            pa.array(TOPICS).take(pa.array(worst)),
            pa.array(scores.max(axis=1).astype(np.float32)),
            *(pa.array(column) for column in scores.astype(np.float32).T),
        ]
        yield pa.record_batch(columns, schema=SCORES_SCHEMA)
