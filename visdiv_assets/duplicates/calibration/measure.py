"""Compare sampled images of a subset with copies made of them and with their nearest other images.

The result lists the pairs; `rates` computes recall and precision from them. Two questions are answered.

Is a copy found? Every copy is compared with its original by SSCD, by PDQ and by verification. This is what the rules
would find if the subset had both images; it does not account for pairs that are dropped because an image has 16 closer
ones.

Is another image taken for a copy? The pairs of a subset have no labels, so verification judges the thresholds: a close
pair that it rejects counts as wrong, one that it confirms as right. Verification cannot judge itself. Its errors are
measured on pairs that are known not to be copies: where it rejected image A and its neighbor B, a copy of A replaces A.
A copy of A is no more a copy of B than A is, so every such pair that it confirms is an error. This overestimates the
errors: if B is a copy of A that was rejected wrongly, a confirmed pair counts as an error, and so does a crop of A that
shows only what A and B have in common.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from visdiv_assets.duplicates.calibration.copies import KINDS, STRENGTHS, make_copy
from visdiv_assets.duplicates.pdq_join import Hashes, close_hashes
from visdiv_assets.duplicates.verify import DEFAULT_PARAMS, Evidence, PreparedImage, VerifyParams, prepare, verify
from visdiv_assets.embedding.interface import Embedder
from visdiv_assets.imaging.pdq import fingerprints
from visdiv_assets.imaging.resize import Reduced
from visdiv_assets.progress import Progress, silent
from visdiv_assets.threads import ordered_map

if TYPE_CHECKING:
    from PIL.Image import Image

COPIES_SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("kind", pa.string()),
        ("strength", pa.string()),
        ("similarity", pa.float32()),
        ("pdq_distance", pa.int16()),
        ("candidate", pa.bool_()),
        ("verified", pa.bool_()),
        ("reason", pa.string()),
    ]
)
PAIRS_SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("other_image_id", pa.string()),
        ("similarity", pa.float32()),
        ("complete_above", pa.float32()),
        ("verified", pa.bool_()),
        ("reason", pa.string()),
        ("copy_kind", pa.string()),
        ("copy_strength", pa.string()),
        ("copy_verified", pa.bool_()),
    ]
)

#: The seed of all random choices.
SEED = 1
#: Minimum similarity of another image that is compared with a sampled image.
NEAREST_FLOOR = 0.45
#: Maximum number of other images, the nearest ones, that are compared with a sampled image.
NEAREST_KEPT = 16
#: Size to which larger images are reduced before they are copied: the model uses 0.1 million pixels, verification 0.36.
MAX_PIXELS = 4_000_000

#: Kind and strength of every copy that is made of an image.
EVERY_COPY = tuple(itertools.product(KINDS, STRENGTHS))


class Near(NamedTuple):
    """Another image that is close to a sampled image."""

    image_id: str
    similarity: float


@dataclass(frozen=True)
class Measurement:
    """The pairs that were compared for the calibration of a subset.

    Attributes:
        copies: table of `COPIES_SCHEMA`, one row per copy: its similarity to its original (of float16 vectors, as they
            are stored), the PDQ distance if it is within the limit, whether the two are a candidate pair
            (`candidate`), and the verdict, which is computed for other pairs too.
        pairs: table of `PAIRS_SCHEMA`, one row per pair of a sampled image and another image of the subset. All other
            images above the similarity `complete_above` have a row. If verification rejected the pair, the row names
            the copy that replaced the sampled image, and says whether that pair was confirmed.
    """

    copies: pa.Table
    pairs: pa.Table


def measure(
    images: Iterable[tuple[str, Image]],
    nearest: Mapping[str, Sequence[Near]],
    load: Callable[[str], Image],
    embedder: Embedder,
    *,
    copied: Collection[str],
    candidate_floor: float,
    pdq_distance: int,
    threads: int,
    params: VerifyParams = DEFAULT_PARAMS,
    progress: Progress = silent,
) -> Measurement:
    """Compare sampled images with their nearest other images, and some of them with 36 copies of each.

    A copy with the same pixels as its original (an image without color, made gray) tests nothing and has no row. One
    image, and one copy per thread, are in memory at a time.

    Args:
        images: image_id and image, mode RGB; consumed one at a time.
        nearest: the nearest other images by image_id, the nearest first: at most `NEAREST_KEPT`, and all from
            `NEAREST_FLOOR` on if they are fewer.
        load: loads another image of the subset by image_id, mode RGB; called in threads.
        embedder: the model that computed the vectors of the subset.
        copied: image_ids of the images that copies are made of.
        candidate_floor: minimum similarity of a candidate pair.
        pdq_distance: maximum number of differing bits, of 256, of a candidate pair.
        threads: number of threads.
        params: parameters of the verification.
        progress: called with 1 for each finished image.

    Returns:
        the measurement. It does not depend on the number of threads, and the rows of an image do not depend on the
        other images, except that a pair of two sampled images is listed with the first.
    """
    copies: list[dict[str, Any]] = []
    pairs: list[dict[str, Any]] = []
    seen: set[frozenset[str]] = set()
    with _one_thread_per_call():
        for image_id, given in images:
            subject = _Subject(image_id, _reduce(given), params)
            if image_id in copied:
                copies += _compare_copies(subject, embedder, candidate_floor, pdq_distance, threads)
            near = nearest.get(image_id, ())
            new = [other for other in near if frozenset({image_id, other.image_id}) not in seen]
            seen.update(frozenset({image_id, other.image_id}) for other in new)
            above = near[-1].similarity if len(near) >= NEAREST_KEPT else 0.0
            pairs += _compare_others(subject, new, load, above, threads)
            progress(1)
    return Measurement(pa.Table.from_pylist(copies, COPIES_SCHEMA), pa.Table.from_pylist(pairs, PAIRS_SCHEMA))


class _Subject:
    """A sampled image, with the parameters that it is verified with."""

    def __init__(self, image_id: str, image: Image, params: VerifyParams) -> None:
        self.image_id = image_id
        self.image = image
        self.params = params
        self.prepared = prepare(image, params)
        self.seed = Random(f"{SEED}/{image_id}").getrandbits(32)

    def verify(self, other: PreparedImage) -> Evidence:
        return verify(self.prepared, other, self.params)

    def make_copy(self, kind: str, strength: str) -> Image:
        return make_copy(self.image, kind, strength, self.seed)

    def choose_copy_for(self, other_id: str) -> tuple[str, str]:
        return Random(f"{SEED}/{self.image_id}/{other_id}").choice(EVERY_COPY)


def _compare_copies(
    subject: _Subject, embedder: Embedder, candidate_floor: float, pdq_distance: int, threads: int
) -> Iterator[dict[str, Any]]:
    """Compare an image with all its copies; yield rows of `COPIES_SCHEMA`."""

    def compare(which: tuple[str, str]) -> tuple[Evidence, np.ndarray, bytes | None]:
        copy = subject.make_copy(*which)
        return (
            subject.verify(prepare(copy, subject.params)),
            embedder.preprocess(copy),
            fingerprints(Reduced(copy).square),
        )

    compared = list(ordered_map(compare, EVERY_COPY, threads=threads))
    pixels = [embedder.preprocess(subject.image), *(preprocessed for _, preprocessed, _ in compared)]
    original, *vectors = _embed(pixels, embedder, threads).astype(np.float16).astype(np.float64)
    distances = _pdq_distances(
        fingerprints(Reduced(subject.image).square), [hashes for _, _, hashes in compared], pdq_distance
    )
    for (kind, strength), (evidence, _, _), vector, distance in zip(
        EVERY_COPY, compared, vectors, distances, strict=True
    ):
        if evidence.kind == "identical_pixels":
            continue
        similarity = min(1.0, float(vector @ original))
        yield {
            "image_id": subject.image_id,
            "kind": kind,
            "strength": strength,
            "similarity": similarity,
            "pdq_distance": distance,
            "candidate": bool(np.float32(similarity) >= np.float32(candidate_floor)) or distance is not None,
            "verified": evidence.verified,
            "reason": evidence.reason,
        }


def _compare_others(
    subject: _Subject, others: Sequence[Near], load: Callable[[str], Image], complete_above: float, threads: int
) -> Iterator[dict[str, Any]]:
    """Compare an image with other images of the subset; yield rows of `PAIRS_SCHEMA`."""

    def compare(other: Near) -> dict[str, Any]:
        prepared = prepare(load(other.image_id), subject.params)
        evidence = subject.verify(prepared)
        kind, strength, confirmed = None, None, None
        if not evidence.verified:
            kind, strength = subject.choose_copy_for(other.image_id)
            copy = prepare(subject.make_copy(kind, strength), subject.params)
            confirmed = verify(copy, prepared, subject.params).verified
        return {
            "image_id": subject.image_id,
            "other_image_id": other.image_id,
            "similarity": min(1.0, other.similarity),
            "complete_above": complete_above,
            "verified": evidence.verified,
            "reason": evidence.reason,
            "copy_kind": kind,
            "copy_strength": strength,
            "copy_verified": confirmed,
        }

    return ordered_map(compare, others, threads=threads)


def _embed(pixels: Sequence[np.ndarray], embedder: Embedder, threads: int) -> np.ndarray:
    """Embed preprocessed images: float32 [n, dimension]."""
    batches = [pixels[start : start + embedder.batch_size] for start in range(0, len(pixels), embedder.batch_size)]
    runs = ordered_map(
        lambda batch: embedder.run(embedder.stack(batch)), batches, threads=threads if embedder.runs_in_threads else 1
    )
    return np.concatenate(list(runs))


def _pdq_distances(original: bytes | None, copies: Sequence[bytes | None], limit: int) -> list[int | None]:
    """Return the PDQ distances of copies to their original, in the best orientation; None above the limit."""
    one, others = (Hashes.of(pa.array(hashes, pa.binary())) for hashes in ([original], copies))
    close = close_hashes(one, others, distance=limit, k_best=len(copies))
    distances: list[int | None] = [None] * len(copies)
    for index, distance in zip(close["right"].to_pylist(), close["pdq_distance"].to_pylist(), strict=True):
        distances[index] = distance
    return distances


def _reduce(image: Image) -> Image:
    """Reduce an image to `MAX_PIXELS`; smaller images are returned unchanged."""
    from PIL.Image import Resampling

    factor = (MAX_PIXELS / (image.width * image.height)) ** 0.5
    if factor >= 1:
        return image
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Resampling.LANCZOS, reducing_gap=3.0)


@contextmanager
def _one_thread_per_call() -> Iterator[None]:
    """Keep OpenCV calls in the calling thread while this module calls them in threads of its own."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
