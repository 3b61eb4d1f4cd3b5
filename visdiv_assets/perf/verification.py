"""Throughput of the verification of candidate pairs on all cores, without decoding."""

from __future__ import annotations

import io
import time

from PIL import Image

from visdiv_assets.duplicates.calibration.copies import make_copy
from visdiv_assets.duplicates.verify import prepare, verify
from visdiv_assets.perf.embedding import HEIGHT, WIDTH, image
from visdiv_assets.perf.measuring import Figure
from visdiv_assets.progress import Progress, silent
from visdiv_assets.threads import ordered_map, thread_count

#: Kinds of copies that are aligned by resizing the whole image, and kinds that need keypoints.
BY_RESIZING = ("jpeg", "scale", "blur", "color_jitter")
BY_KEYPOINTS = ("crop", "rotate")

Pair = tuple[Image.Image, Image.Image]


def measure(images: int = 12, progress: Progress = silent) -> list[Figure]:
    """Verify pairs of a textured image and its copy, and pairs of different images, of FineVision's typical size.

    Args:
        images: number of different images; each is copied in every way.
        progress: called after every figure.
    """
    import cv2

    cv2.setNumThreads(1)
    threads = thread_count(0)
    originals = [_decode(image(seed, "JPEG")) for seed in range(images)]
    sets: dict[str, list[Pair]] = {
        "copies aligned by resizing": _copy_pairs(originals, BY_RESIZING),
        "copies aligned by keypoints": _copy_pairs(originals, BY_KEYPOINTS),
        "different images": list(zip(originals, originals[1:] + originals[:1], strict=True)) * 2,
    }
    figures = []
    for name, pairs in sets.items():
        begin = time.perf_counter()
        verdicts = list(ordered_map(_is_confirmed, pairs, threads=threads))
        seconds = time.perf_counter() - begin
        remark = f"{sum(verdicts)} of {len(pairs)} confirmed"
        figures.append(
            Figure(f"verification, {WIDTH} x {HEIGHT}: {name}", len(pairs) / seconds, "pairs/s", remark=remark)
        )
        progress(1)
    return figures


def _is_confirmed(pair: Pair) -> bool:
    one, other = pair
    return verify(prepare(one), prepare(other)).verified is True


def _copy_pairs(originals: list[Image.Image], kinds: tuple[str, ...]) -> list[Pair]:
    return [(image, make_copy(image, kind, "mild", seed)) for kind in kinds for seed, image in enumerate(originals)]


def _decode(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")
