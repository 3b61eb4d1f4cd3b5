"""How many candidate pairs a second have their pixels compared, on all cores, decoding excluded."""

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

#: Copies that a stretch of the whole image aligns, and those that take keypoints.
PLAIN = ("jpeg", "resize", "blur", "color")
BY_KEYPOINTS = ("crop", "rotate")

Pair = tuple[Image.Image, Image.Image]


def measure(images: int = 12, progress: Progress = silent) -> list[Figure]:
    """Compare copies of textured images of FineVision's size, and pairs of different ones.

    Args:
        images: how many different ones; each is copied in every way.
        progress: told of every figure.
    """
    import cv2

    cv2.setNumThreads(1)
    threads = thread_count(0)
    originals = [_decoded(image(seed, "JPEG")) for seed in range(images)]
    sets: dict[str, list[Pair]] = {
        "copies that a stretch aligns": _copied(originals, PLAIN),
        "copies that keypoints align": _copied(originals, BY_KEYPOINTS),
        "different images": list(zip(originals, originals[1:] + originals[:1], strict=True)) * 2,
    }
    figures = []
    for name, pairs in sets.items():
        begin = time.perf_counter()
        verdicts = list(ordered_map(_compared, pairs, threads=threads))
        seconds = time.perf_counter() - begin
        told = f"{sum(verdicts)} of {len(pairs)} confirmed"
        figures.append(
            Figure(f"comparing pixels, {WIDTH} x {HEIGHT}: {name}", len(pairs) / seconds, "pairs/s", remark=told)
        )
        progress(1)
    return figures


def _compared(pair: Pair) -> bool:
    one, other = pair
    return verify(prepare(one), prepare(other)).verified


def _copied(originals: list[Image.Image], kinds: tuple[str, ...]) -> list[Pair]:
    return [(image, make_copy(image, kind, "medium", seed)) for kind in kinds for seed, image in enumerate(originals)]


def _decoded(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data)).convert("RGB")
