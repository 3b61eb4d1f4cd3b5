"""Draw the evidence of pairs. Their pixels are compared again, since the lake keeps no images."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.publishing.reports.badges import percent
from visdiv_assets.publishing.reports.model import VIEW_BYTES, AlignedView, PairEntry, Report
from visdiv_assets.publishing.reports.pair_selection import drawn
from visdiv_assets.threads import ordered_map, thread_count

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from visdiv_assets.duplicates.verify import Evidence

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


def aligned_view(data_a: bytes | None, data_b: bytes | None, limits: DecodeLimits) -> AlignedView | None:
    """Register an image onto another one and mark the regions that disagree.

    Args:
        data_a: the encoded image that keeps its frame.
        data_b: the encoded image that is warped.
        limits: size limits of images; larger ones count as unreadable.

    Returns:
        the drawings; None if one of the two images cannot be read.
    """
    from visdiv_assets.duplicates.verify import explain, prepare, verify

    image_a = decode_image(data_a, limits=limits).pixels
    image_b = decode_image(data_b, limits=limits).pixels
    if image_a is None or image_b is None:
        return None
    a, b = prepare(image_a), prepare(image_b)
    evidence = verify(a, b)
    explained = explain(a, b, evidence)
    left = _shrink(explained.a, SIDE)
    marked, disagreeing = None, 0.0
    if explained.b is not None and explained.disagrees is not None:
        right = _shrink(explained.b, SIDE)
        marked = _encode_webp(_mark_disagreement(left, explained.disagrees))
        disagreeing = float(explained.disagrees.mean())
    else:
        right = _shrink(image_b, SIDE)
    return AlignedView(
        _encode_webp(left), _encode_webp(right), marked, left.size, right.size, disagreeing, _caption(evidence)
    )


def with_alignments(report: Report, *, limits: DecodeLimits) -> Report:
    """Draw the evidence of the pairs for which the page shows it.

    Args:
        report: the report. Without verdicts it is returned unchanged.
        limits: size limits of images; larger ones count as unreadable.
    """
    shown = report.pairs_shown()
    indices = sorted(drawn([pair.similarity for pair in shown], [pair.verified for pair in shown]))

    def view(index: int) -> AlignedView | None:
        return aligned_view(shown[index].left.data, shown[index].right.data, limits)

    views = dict(zip(indices, ordered_map(view, indices, threads=thread_count(0)), strict=True))
    pairs: list[PairEntry] = [replace(pair, aligned=views.get(index)) for index, pair in enumerate(shown)]
    return replace(report, pairs=pairs)


def _caption(evidence: Evidence) -> str:
    agreement = f"{percent(evidence.agreement)} of the textured regions agree"
    said = f"confirmed: {evidence.kind.replace('_', ' ')}" if evidence.verified else f"rejected: {evidence.reason}"
    # Without a transform nothing was measured.
    return f"{said}; overlap {percent(evidence.overlap)}; {agreement}" if evidence.transform else said


def _mark_disagreement(image: Image, disagrees: NDArray[np.bool_]) -> Image:
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


def _shrink(image: Image, side: int) -> Image:
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
        _shrink(image, side).save(stream, "WEBP", quality=quality, method=4)
        encoded = stream.getvalue()
        if len(encoded) <= VIEW_BYTES:
            break
    return encoded
