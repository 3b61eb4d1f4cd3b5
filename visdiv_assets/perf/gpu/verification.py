"""Pairs per second of the verification of many pairs at once, which runs on the cores of the machine."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence

from PIL import Image

from visdiv_assets.corpus.image_fetch import Fetch
from visdiv_assets.duplicates.calibration.copies import make_copy
from visdiv_assets.duplicates.pair_images import Stored
from visdiv_assets.duplicates.verify import Background
from visdiv_assets.duplicates.verify_pairs import compare_pairs
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.perf.embedding import HEIGHT, MAX_PIXELS, WIDTH, image
from visdiv_assets.perf.gpu.setup import Setup
from visdiv_assets.perf.measuring import Figure
from visdiv_assets.perf.verification import BY_KEYPOINTS, BY_RESIZING
from visdiv_assets.threads import ordered_map, thread_count

QUALITY = 90


class _InMemory:
    """Images in memory, as `verify_pairs.ImageAccess`, with what a pass stores of them and no backgrounds."""

    def __init__(self, encoded: dict[str, bytes]) -> None:
        self._encoded = encoded
        threads = thread_count(0)
        self._stored = dict(zip(encoded, ordered_map(_stored, encoded.values(), threads=threads), strict=True))

    def stored(self, image_ids: Sequence[str]) -> Sequence[Stored]:
        return [self._stored[name] for name in image_ids]

    def in_order(self, image_ids: Sequence[str]) -> Fetch:
        return lambda names: [self._encoded[name] for name in names]

    def backgrounds(self, image_id_a: str, image_id_b: str) -> Sequence[Background]:
        return ()


def measure_verification(setup: Setup) -> list[Figure]:
    """Verify pairs of an image and a copy, and pairs of different images, from stored features on."""
    count, threads = setup.sizes.pairs_of, thread_count(0)
    made = list(ordered_map(_versions, range(count), threads=threads))
    images = _InMemory({name: data for versions in made for name, data in versions.items()})
    originals = [next(iter(versions)) for versions in made]
    pairs = {
        "copies": [(name, copy) for name, versions in zip(originals, made, strict=True) for copy in [*versions][1:]],
        "different images": list(zip(originals, originals[1:] + originals[:1], strict=True)) * 4,
    }
    figures = []
    for kind, given in pairs.items():
        left, right = ([pair[side] for pair in given] for side in (0, 1))
        begin = time.perf_counter()
        verdicts = compare_pairs(left, right, images, threads=threads, limits=DecodeLimits(MAX_PIXELS))
        seconds = time.perf_counter() - begin
        confirmed = verdicts["verified"].to_pylist().count(True)
        figures.append(
            Figure(
                f"batched verification of {len(given):,} pairs of {WIDTH} x {HEIGHT}, {kind}",
                len(given) / seconds,
                "pairs/s",
                remark=f"{confirmed:,} confirmed; on {threads} cores, no step of it runs on a GPU",
            )
        )
    return figures


def _versions(seed: int) -> dict[str, bytes]:
    """Make an image and a copy of each kind, encoded, by name; the image comes first."""
    original = image(seed, "JPEG")
    pixels = Image.open(io.BytesIO(original)).convert("RGB")
    found = {f"{seed}": original}
    for kind in (*BY_RESIZING, *BY_KEYPOINTS):
        stream = io.BytesIO()
        make_copy(pixels, kind, "mild", seed).save(stream, "JPEG", quality=QUALITY)
        found[f"{seed} {kind}"] = stream.getvalue()
    return found


def _stored(data: bytes) -> Stored:
    return Stored.of(Image.open(io.BytesIO(data)).convert("RGB"))
