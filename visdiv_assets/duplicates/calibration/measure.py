"""Compare sampled images of a subset with copies made of them and with their nearest other images.

The result lists the pairs; `rates` computes recall and precision from them. Pairs are verified as the stages verify
them: copies are encoded and decoded again, features and thumbnails come before pixels, and features are weighed against
the subset's background. Two questions are answered.

Is a copy found? Every copy is compared with its original by SSCD, by PDQ and by verification. This is what the rules
would find if the subset had both images; it does not account for pairs that are dropped because an image has 16 closer
ones.

Is another image taken for a copy? The pairs of a subset have no labels, so verification judges the thresholds: a close
pair that it rejects counts as wrong, one that it confirms as right. Verification cannot judge itself. Its errors are
measured on pairs that are known not to be copies: where it did not confirm image A and its neighbor B, a copy of A
replaces A. A copy of A is no more a copy of B than A is, so every such pair that it confirms is an error. This
overestimates the errors: if B is a copy of A that was rejected wrongly, a confirmed pair counts as an error, and so
does a crop of A that shows only what A and B have in common.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from visdiv_assets.duplicates.calibration.copies import KINDS
from visdiv_assets.duplicates.calibration.encoded_copies import Copy, WithCopies, choose_kind, make_copies, strength_of
from visdiv_assets.duplicates.pdq_join import Hashes, close_hashes
from visdiv_assets.duplicates.verify_pairs import ImageAccess, compare_pairs
from visdiv_assets.embedding.interface import Embedder
from visdiv_assets.imaging.decode import DecodedImage, decode_image
from visdiv_assets.imaging.identity import image_changed, unchanged
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.imaging.pdq import fingerprints
from visdiv_assets.imaging.resize import Reduced
from visdiv_assets.progress import Progress, silent
from visdiv_assets.threads import ordered_map

COPIES_SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("kind", pa.string()),
        ("strength", pa.string()),
        ("similarity", pa.float32()),
        ("pdq_distance", pa.int16()),
        ("candidate", pa.bool_()),
        ("verified", pa.bool_()),
        ("confidence", pa.float32()),
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
        ("confidence", pa.float32()),
        ("reason", pa.string()),
        ("copy_kind", pa.string()),
        ("copy_strength", pa.string()),
        ("copy_verified", pa.bool_()),
        ("copy_confidence", pa.float32()),
    ]
)

#: Minimum similarity of another image that is compared with a sampled image.
NEAREST_FLOOR = 0.45
#: Maximum number of other images, the nearest ones, that are compared with a sampled image.
NEAREST_KEPT = 16
#: Encoded copies that wait for the comparison with other images; comparing many at a time reads the source less often.
MAX_BYTES_WAITING = 64_000_000


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
            images above the similarity `complete_above` have a row. If verification did not confirm the pair, the row
            names the copy that replaced the sampled image, and says whether that pair was confirmed.
    """

    copies: pa.Table
    pairs: pa.Table


def measure(
    images: ImageAccess,
    nearest: Mapping[str, Sequence[Near]],
    embedder: Embedder,
    *,
    copied: Collection[str],
    candidate_floor: float,
    pdq_distance: int,
    threads: int,
    limits: DecodeLimits,
    progress: Progress = silent,
) -> Measurement:
    """Compare sampled images with their nearest other images, and some of them with a copy of each kind.

    A copy with the same pixels as its original (an image without color, made gray) tests nothing and has no row. The
    copies of one image are in memory at a time.

    Args:
        images: reads the images of the subset.
        nearest: the nearest other images by image_id, the nearest first: at most `NEAREST_KEPT`, and all from
            `NEAREST_FLOOR` on if they are fewer.
        embedder: the model that computed the vectors of the subset.
        copied: image_ids of the images that copies are made of.
        candidate_floor: minimum similarity of a candidate pair.
        pdq_distance: maximum number of differing bits, of 256, of a candidate pair.
        threads: number of threads.
        limits: limits of an image.
        progress: called with 1 for each finished image.

    Returns:
        the measurement. It does not depend on the number of threads, and the rows of an image do not depend on the
        other images, except that a pair of two sampled images is listed with the first.

    Raises:
        VisdivError: an image has changed since it was listed.
    """
    pairs = _compare_others(nearest, images, threads, limits)
    unconfirmed: dict[str, list[dict[str, Any]]] = {image_id: [] for image_id in nearest}
    for row in pairs:
        if not row["verified"]:
            unconfirmed[row["image_id"]].append(row)
    fetch = images.in_order(list(nearest))
    copies: list[dict[str, Any]] = []
    waiting = _Waiting(images, threads, limits)
    for image_id, rows in unconfirmed.items():
        wanted = list(KINDS) if image_id in copied else sorted({row["copy_kind"] for row in rows})
        if wanted:
            original = _decode(image_id, fetch([image_id])[0], limits)
            made = make_copies(image_id, original, wanted, embedder, threads=threads)
            if image_id in copied:
                measured = _Similarities(original, list(made.values()), embedder, threads, pdq_distance)
                copies += _compare_copies(image_id, made, measured, images, candidate_floor, threads, limits)
            waiting.add(rows, made)
        progress(1)
    waiting.compare()
    return Measurement(pa.Table.from_pylist(copies, COPIES_SCHEMA), pa.Table.from_pylist(pairs, PAIRS_SCHEMA))


def _compare_others(
    nearest: Mapping[str, Sequence[Near]], images: ImageAccess, threads: int, limits: DecodeLimits
) -> list[dict[str, Any]]:
    """Compare images with other images of the subset, each pair once; return rows of `PAIRS_SCHEMA`."""
    rows: dict[frozenset[str], dict[str, Any]] = {}
    for image_id, others in nearest.items():
        complete_above = others[-1].similarity if len(others) >= NEAREST_KEPT else 0.0
        for other in others:
            row: dict[str, Any] = {
                "image_id": image_id,
                "other_image_id": other.image_id,
                "similarity": min(1.0, other.similarity),
                "complete_above": complete_above,
            }
            rows.setdefault(frozenset({image_id, other.image_id}), row)
    pairs = [(row["image_id"], row["other_image_id"]) for row in rows.values()]
    for row, verdict in zip(rows.values(), _verdicts(pairs, images, threads, limits), strict=True):
        row.update(verdict)
        if not verdict["verified"]:
            row["copy_kind"] = choose_kind(row["image_id"], row["other_image_id"])
            row["copy_strength"] = strength_of(row["image_id"], row["copy_kind"])
    return list(rows.values())


def _verdicts(
    pairs: Sequence[tuple[str, str]], images: ImageAccess, threads: int, limits: DecodeLimits
) -> list[dict[str, Any]]:
    """Verify pairs; return whether each is confirmed, the confidence and the reason."""
    left, right = [a for a, _ in pairs], [b for _, b in pairs]
    found = compare_pairs(left, right, images, threads=threads, limits=limits)
    verdicts: list[dict[str, Any]] = found.select(["verified", "confidence", "reason"]).to_pylist()
    # Undecided pairs are not confirmed.
    return [{**verdict, "verified": verdict["verified"] is True} for verdict in verdicts]


def _decode(image_id: str, data: bytes | None, limits: DecodeLimits) -> DecodedImage:
    decoded = decode_image(unchanged(image_id, data), limits=limits)
    if decoded.pixels is None:
        raise image_changed(image_id)
    return decoded


class _Similarities:
    """How similar copies are to their original, by SSCD and PDQ.

    Attributes:
        cosines: of the vectors as they are stored, in float16; float32 [n].
        distances: the PDQ distances in the best orientation; None above the limit.
    """

    def __init__(
        self, original: DecodedImage, copies: Sequence[Copy], embedder: Embedder, threads: int, pdq_distance: int
    ) -> None:
        assert original.pixels is not None
        pixels = [embedder.preprocess(original.pixels), *(copy.preprocessed for copy in copies)]
        first, *vectors = _embed(pixels, embedder, threads).astype(np.float16).astype(np.float64)
        self.cosines = np.array([min(1.0, float(vector @ first)) for vector in vectors], np.float32)
        own = fingerprints(Reduced(original.pixels).square)
        self.distances = _pdq_distances(own, [copy.hashes for copy in copies], pdq_distance)


def _compare_copies(
    image_id: str,
    made: Mapping[str, Copy],
    measured: _Similarities,
    images: ImageAccess,
    candidate_floor: float,
    threads: int,
    limits: DecodeLimits,
) -> Iterator[dict[str, Any]]:
    """Compare an image with all its copies; yield rows of `COPIES_SCHEMA`."""
    access = WithCopies(images, {copy.name: copy for copy in made.values()})
    verdicts = _verdicts([(image_id, copy.name) for copy in made.values()], access, threads, limits)
    for copy, similarity, distance, verdict in zip(
        made.values(), measured.cosines, measured.distances, verdicts, strict=True
    ):
        yield {
            "image_id": image_id,
            "kind": copy.kind,
            "strength": copy.strength,
            "similarity": similarity,
            "pdq_distance": distance,
            "candidate": bool(similarity >= np.float32(candidate_floor)) or distance is not None,
            **verdict,
        }


class _Waiting:
    """Copies that will be compared with the neighbors of their originals."""

    def __init__(self, images: ImageAccess, threads: int, limits: DecodeLimits) -> None:
        self._images, self._threads, self._limits = images, threads, limits
        self._rows: list[dict[str, Any]] = []
        self._copies: dict[str, Copy] = {}

    def add(self, rows: Sequence[dict[str, Any]], made: Mapping[str, Copy]) -> None:
        """Add rows of `PAIRS_SCHEMA` of one image, of which `copy_verified` and `copy_confidence` are missing."""
        for row in rows:
            # An edit that changed nothing leaves the image itself, which is not confirmed.
            if row["copy_kind"] not in made:
                row["copy_verified"] = False
                continue
            copy = made[row["copy_kind"]]
            self._copies[copy.name] = copy
            self._rows.append(row)
        if sum(len(copy.data) + copy.preprocessed.nbytes for copy in self._copies.values()) > MAX_BYTES_WAITING:
            self.compare()

    def compare(self) -> None:
        """Compare all, and fill in the rows."""
        access = WithCopies(self._images, self._copies)
        names = {(copy.image_id, copy.kind): name for name, copy in self._copies.items()}
        pairs = [(names[row["image_id"], row["copy_kind"]], row["other_image_id"]) for row in self._rows]
        for row, verdict in zip(self._rows, _verdicts(pairs, access, self._threads, self._limits), strict=True):
            row["copy_verified"], row["copy_confidence"] = verdict["verified"], verdict["confidence"]
        self._rows, self._copies = [], {}


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
