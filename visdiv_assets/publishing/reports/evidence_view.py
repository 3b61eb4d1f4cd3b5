"""Draw the evidence of pairs on their thumbnails."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.publishing.reports.badges import percent
from visdiv_assets.publishing.reports.model import VIEW_BYTES, AlignedView, PairEntry, Report, Verdict
from visdiv_assets.publishing.reports.pair_selection import drawn
from visdiv_assets.threads import ordered_map, thread_count

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

#: Maximum side of a drawing in pixels.
SIDE = 320

#: Quality and maximum side of the WebP, tried in turn until it is small enough. Photographs fit at the first or
#: second step, noise at the last ones.
_STEPS = ((75, SIDE), (60, SIDE), (40, SIDE), (30, 240), (10, 200), (0, 160))

#: Color of regions that disagree. It is rare in images and, on a darkened gray image, visible to color-blind people.
_MAGENTA = (255, 0, 255)
_DARKENED = 0.4
#: Share of magenta inside a marked region; the image stays visible under it.
_TINT = 0.45
#: Width of the outline in pixels, which makes the smallest region visible.
_OUTLINE = 2


def aligned_view(pair: PairEntry) -> AlignedView | None:
    """Lay the right image of a compared pair onto the left one by the stored transform and mark where they disagree.

    The thumbnails are compared again, so differences that are smaller than their pixels are not marked.

    Args:
        pair: a pair with a verdict.

    Returns:
        the drawings; None if one of the two images cannot be read.
    """
    left, right, verdict = pair.left.preview.image, pair.right.preview.image, pair.verdict
    if left is None or right is None or verdict is None:
        return None
    left, marked, disagreeing = shrink(left, SIDE), None, 0.0
    if verdict.transform:
        disagrees = disagreement(left, right, verdict)
        marked, disagreeing = _encode_webp(mark_disagreement(left, disagrees)), float(disagrees.mean())
        right = warp_onto(right, verdict.transform, left.size)
    else:
        right = shrink(right, SIDE)
    return AlignedView(
        _encode_webp(left), _encode_webp(right), marked, left.size, right.size, disagreeing, _caption(verdict)
    )


def with_alignments(report: Report) -> Report:
    """Draw the evidence of the pairs for which the page shows it.

    Args:
        report: the report. Without verdicts it is returned unchanged.
    """
    shown = report.pairs_shown()
    indices = sorted(drawn([pair.similarity for pair in shown], [pair.verified for pair in shown]))
    views = dict(
        zip(
            indices,
            ordered_map(aligned_view, (shown[index] for index in indices), threads=thread_count(0)),
            strict=True,
        )
    )
    pairs: list[PairEntry] = [replace(pair, aligned=views.get(index)) for index, pair in enumerate(shown)]
    return replace(report, pairs=pairs)


def _caption(verdict: Verdict) -> str:
    agreement = f"{percent(verdict.agreement)} of the textured regions agree"
    said = f"{verdict.name}: {verdict.kind.replace('_', ' ') if verdict.verified else verdict.reason}"
    # Without a transform nothing was measured.
    return f"{said}; overlap {percent(verdict.overlap)}; {agreement}" if verdict.transform else said


def disagreement(left: Image, right: Image, verdict: Verdict) -> NDArray[np.bool_]:
    """Return where contents or colors disagree: bool [h, w] in the frame of the left image."""
    from visdiv_assets.duplicates.verify import Evidence, explain, prepare_pixels

    evidence = Evidence(verdict.verified, verdict.kind, verdict.reason, verdict.transform)
    found = explain(prepare_pixels(left), prepare_pixels(right), evidence).disagrees
    assert found is not None
    return found


def warp_onto(right: Image, transform: tuple[float, ...], size: tuple[int, int]) -> Image:
    """Return the right image in the frame of the left one, of a width and height, gray where it shows nothing."""
    from PIL.Image import fromarray

    from visdiv_assets.duplicates.verify.geometry import matrix_of
    from visdiv_assets.duplicates.verify.registration import warp

    laid, inside = warp(np.asarray(right), matrix_of(transform), size)
    laid[~inside] = 128
    return fromarray(np.ascontiguousarray(laid))


def mark_disagreement(image: Image, disagrees: NDArray[np.bool_]) -> Image:
    """Return the image dark and gray, with magenta regions and outlines where it disagrees."""
    from PIL import ImageFilter
    from PIL.Image import Resampling, fromarray

    gray = np.asarray(image.convert("L"), np.float32)[..., None] * _DARKENED
    canvas = np.repeat(gray, 3, axis=2)
    # Reduce by the maximum, so that a region of one pixel does not vanish.
    mask = fromarray(np.where(disagrees, np.uint8(255), np.uint8(0)))
    mask = mask.filter(ImageFilter.MaxFilter(2 * (max(mask.size) // (2 * max(image.size))) + 1))
    mask = mask.resize(image.size, Resampling.NEAREST)
    inside = np.asarray(mask) > 0
    around = np.asarray(mask.filter(ImageFilter.MaxFilter(2 * _OUTLINE + 1))) > 0
    magenta = np.array(_MAGENTA, np.float32)
    canvas[inside] = (1 - _TINT) * canvas[inside] / _DARKENED + _TINT * magenta
    canvas[around & ~inside] = magenta
    return fromarray(np.asarray(canvas.clip(0, 255), np.uint8))


def shrink(image: Image, side: int) -> Image:
    """Reduce an image to a maximum side; never enlarge it."""
    from PIL.Image import Resampling

    scale = side / max(image.size)
    if scale >= 1:
        return image
    return image.resize(
        (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Resampling.LANCZOS, reducing_gap=3.0
    )


def _encode_webp(image: Image) -> bytes:
    """Encode as WebP with the best quality that fits into `VIEW_BYTES`."""
    encoded = b""
    for quality, side in _STEPS:
        stream = io.BytesIO()
        shrink(image, side).save(stream, "WEBP", quality=quality, method=4)
        encoded = stream.getvalue()
        if len(encoded) <= VIEW_BYTES:
            break
    return encoded
