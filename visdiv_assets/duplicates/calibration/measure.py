"""Copies of a subset's own images, and its nearest other images, through the model and the pixel verification.

What is measured is kept pair by pair; `rates` counts it. Two questions are asked of sampled images.

Is a copy of it found? Every copy is compared with its original, as a pair: by SSCD, by PDQ and by pixels. That is what
the rules would say of the two if the subset held both; that a pair can be crowded out by 16 closer ones is not in it.

Is another image taken for a copy? Nobody has looked at the subset's pairs, so verification is the judge of the
thresholds: a close pair that the pixels refuse is counted as wrong, one that they confirm as right. Verification cannot
be its own judge. Its errors are measured on pairs known to be none: where it refused image A and its neighbor B, a
copy of A takes A's place. A copy of A is no more a copy of B than A is, so each of those that it confirms is an error.
That counts too many errors rather than too few: a B that is a copy of A after all, and was refused wrongly, is counted
against it when A's copy is confirmed, and so is a crop of A that leaves only what A and B share.
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
from visdiv_assets.duplicates.pdq_join import close_hashes
from visdiv_assets.duplicates.verify import Evidence, PreparedImage, prepare, verify
from visdiv_assets.embedding.interface import Embedder
from visdiv_assets.imaging.pdq import fingerprints
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

#: Changes every choice that is left to chance.
SEED = 1
#: Others of an image are looked at from this similarity on, so many of them at most, the nearest.
NEAREST_FLOOR = 0.45
NEAREST_KEPT = 16
#: Larger images are reduced to this before they are copied: the model sees 0.1 million, verification 0.36.
MAX_PIXELS = 4_000_000

#: What is done to make a copy: kind and strength.
EVERY_COPY = tuple(itertools.product(KINDS, STRENGTHS))


class Near(NamedTuple):
    """Another image that is close to one."""

    image_id: str
    similarity: float


@dataclass(frozen=True)
class Measurement:
    """What calibration saw.

    Attributes:
        copies: table of `COPIES_SCHEMA`, a row for each copy: its similarity to its original (of float16 vectors, as
            they are stored), the PDQ distance if it is within the limit, whether the two would be compared pixel by
            pixel (`candidate`), and what comparing them says, asked in any case.
        pairs: table of `PAIRS_SCHEMA`, a row for each pair of a sampled image with another of the subset, each pair
            once; every other image above the similarity `complete_above` has a row; where verification refused the
            pair, which copy took the image's place, and whether it was confirmed then.
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
    progress: Progress = silent,
) -> Measurement:
    """Compare images with their nearest others, and some of them with 36 copies of each.

    A copy whose pixels are those of its original (an image without color, made gray) tests nothing, and has no row.
    One image and one copy for each thread are in memory at a time.

    Args:
        images: image_id and image, mode RGB; drawn one at a time.
        nearest: the nearest other images by image_id, the nearest first, at most `NEAREST_KEPT` and all from
            `NEAREST_FLOOR` on if they are fewer.
        load: gives another image of the subset by image_id, mode RGB; called in threads.
        embedder: the model that made the subset's vectors.
        copied: image_ids of those of the images that copies are made of.
        candidate_floor: similarity from which pixels are compared.
        pdq_distance: number of differing bits, of 256, up to which they are.
        threads: number of threads.
        progress: told of each image.

    Returns:
        the same for the same arguments, whatever the threads; an image's rows do not depend on the other images,
        but that a pair of two sampled images is counted with the first.
    """
    copies: list[dict[str, Any]] = []
    pairs: list[dict[str, Any]] = []
    seen: set[frozenset[str]] = set()
    with _one_thread_per_call():
        for image_id, given in images:
            subject = _Subject(image_id, _not_too_large(given))
            if image_id in copied:
                copies += _copies_of(subject, embedder, candidate_floor, pdq_distance, threads)
            near = nearest.get(image_id, ())
            new = [other for other in near if frozenset({image_id, other.image_id}) not in seen]
            seen.update(frozenset({image_id, other.image_id}) for other in new)
            above = near[-1].similarity if len(near) >= NEAREST_KEPT else 0.0
            pairs += _pairs_of(subject, new, load, above, threads)
            progress(1)
    return Measurement(pa.Table.from_pylist(copies, COPIES_SCHEMA), pa.Table.from_pylist(pairs, PAIRS_SCHEMA))


class _Subject:
    """A sampled image."""

    def __init__(self, image_id: str, image: Image) -> None:
        self.image_id = image_id
        self.image = image
        self.prepared: PreparedImage = prepare(image)
        self.seed = Random(f"{SEED}/{image_id}").getrandbits(32)

    def copy(self, kind: str, strength: str) -> Image:
        return make_copy(self.image, kind, strength, self.seed)

    def one_copy_for(self, other_id: str) -> tuple[str, str]:
        return Random(f"{SEED}/{self.image_id}/{other_id}").choice(EVERY_COPY)


def _copies_of(
    subject: _Subject, embedder: Embedder, candidate_floor: float, pdq_distance: int, threads: int
) -> Iterator[dict[str, Any]]:
    def compare(which: tuple[str, str]) -> tuple[Evidence, np.ndarray, bytes | None]:
        copy = subject.copy(*which)
        return verify(subject.prepared, prepare(copy)), embedder.preprocess(copy), fingerprints(copy)

    compared = list(ordered_map(compare, EVERY_COPY, threads=threads))
    pixels = [embedder.preprocess(subject.image), *(seen for _, seen, _ in compared)]
    original, *vectors = _embed(pixels, embedder, threads).astype(np.float16).astype(np.float64)
    distances = _distances(fingerprints(subject.image), [print_ for _, _, print_ in compared], pdq_distance)
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


def _pairs_of(
    subject: _Subject, others: Sequence[Near], load: Callable[[str], Image], complete_above: float, threads: int
) -> Iterator[dict[str, Any]]:
    def compare(other: Near) -> dict[str, Any]:
        prepared = prepare(load(other.image_id))
        evidence = verify(subject.prepared, prepared)
        kind, strength, confirmed = None, None, None
        if not evidence.verified:
            kind, strength = subject.one_copy_for(other.image_id)
            confirmed = verify(prepare(subject.copy(kind, strength)), prepared).verified
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


def _distances(original: bytes | None, copies: Sequence[bytes | None], limit: int) -> list[int | None]:
    """PDQ distances of copies to their original, in the best orientation; None beyond the limit."""
    hashes = pa.array(copies, pa.binary())
    close = close_hashes(pa.array([original], pa.binary()), hashes, distance=limit, k_best=len(copies))
    distances: list[int | None] = [None] * len(copies)
    for number, distance in zip(close["right"].to_pylist(), close["pdq_distance"].to_pylist(), strict=True):
        distances[number] = distance
    return distances


def _not_too_large(image: Image) -> Image:
    from PIL.Image import Resampling

    factor = (MAX_PIXELS / (image.width * image.height)) ** 0.5
    if factor >= 1:
        return image
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    return image.resize(size, Resampling.LANCZOS, reducing_gap=3.0)


@contextmanager
def _one_thread_per_call() -> Iterator[None]:
    """OpenCV calls are many here and run in threads of ours."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
