"""Pairs laid over one another for a page: verified again from their pixels, since the lake keeps no images."""

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

#: Longest side in pixels.
SIDE = 320

#: Quality of the WebP and longest side, tried in turn until a view fits; noise needs the last ones, photographs the
#: first or second.
_STEPS = ((75, SIDE), (60, SIDE), (40, SIDE), (30, 240), (10, 200), (0, 160))

#: Neither red nor green, and found in few images: it stands out for color-blind people too, more so on an image
#: that is darkened and gray.
_MAGENTA = (255, 0, 255)
_DARKENED = 0.4
#: Share of magenta inside a marked place, under which the image can still be made out.
_TINT = 0.45
#: Width of the outline in pixels; a place is marked however small it is.
_OUTLINE = 2


def aligned_view(data_a: bytes | None, data_b: bytes | None, limits: DecodeLimits) -> AlignedView | None:
    """Lay an image over another and mark what disagrees.

    Args:
        data_a: an encoded image, which keeps its frame.
        data_b: another, which is warped.
        limits: of images; a larger one counts as unreadable.

    Returns:
        The views; None if one of the two cannot be read.
    """
    from visdiv_assets.duplicates.verify import explain, prepare, verify

    image_a = decode_image(data_a, limits=limits).pixels
    image_b = decode_image(data_b, limits=limits).pixels
    if image_a is None or image_b is None:
        return None
    a, b = prepare(image_a), prepare(image_b)
    evidence = verify(a, b)
    explained = explain(a, b, evidence)
    left = _fitted(explained.a, SIDE)
    marked, disagreeing = None, 0.0
    if explained.b is not None and explained.disagrees is not None:
        right = _fitted(explained.b, SIDE)
        marked = _encoded(_marked(left, explained.disagrees))
        disagreeing = float(explained.disagrees.mean())
    else:
        right = _fitted(image_b, SIDE)
    return AlignedView(_encoded(left), _encoded(right), marked, left.size, right.size, disagreeing, _caption(evidence))


def with_alignments(report: Report, *, limits: DecodeLimits) -> Report:
    """Draw the evidence of those pairs of a report that the page draws it for.

    Args:
        report: what to say. Without verdicts, it stays as it is.
        limits: of images; a larger one counts as unreadable.
    """
    shown = report.pairs_shown()
    numbers = sorted(drawn([pair.similarity for pair in shown], [pair.verified for pair in shown]))

    def view(number: int) -> AlignedView | None:
        return aligned_view(shown[number].left.data, shown[number].right.data, limits)

    views = dict(zip(numbers, ordered_map(view, numbers, threads=thread_count(0)), strict=True))
    pairs: list[PairEntry] = [replace(pair, aligned=views.get(number)) for number, pair in enumerate(shown)]
    return replace(report, pairs=pairs)


def _caption(evidence: Evidence) -> str:
    agreement = f"{percent(evidence.agreement)} of the textured places agree"
    said = f"confirmed: {evidence.kind.replace('_', ' ')}" if evidence.verified else f"refused: {evidence.reason}"
    # Without an alignment nothing was compared.
    return f"{said}; overlap {percent(evidence.overlap)}; {agreement}" if evidence.transform else said


def _marked(image: Image, disagrees: NDArray[np.bool_]) -> Image:
    """The image gray and dark, what disagrees magenta with an outline."""
    from PIL import ImageFilter
    from PIL.Image import Resampling, fromarray

    gray = np.asarray(image.convert("L"), np.float32)[..., None] * _DARKENED
    canvas = np.repeat(gray, 3, axis=2)
    # Reduced by its maximum: a place of one pixel must not vanish.
    mask = fromarray(np.where(disagrees, np.uint8(255), np.uint8(0)))
    mask = mask.filter(ImageFilter.MaxFilter(2 * (max(mask.size) // (2 * max(image.size))) + 1))
    mask = mask.resize(image.size, Resampling.NEAREST)
    inside = np.asarray(mask) > 0
    around = np.asarray(mask.filter(ImageFilter.MaxFilter(2 * _OUTLINE + 1))) > 0
    magenta = np.array(_MAGENTA, np.float32)
    canvas[inside] = (1 - _TINT) * canvas[inside] / _DARKENED + _TINT * magenta
    canvas[around & ~inside] = magenta
    return fromarray(np.asarray(canvas.clip(0, 255), np.uint8))


def _fitted(image: Image, side: int) -> Image:
    """Reduced to a side, never enlarged."""
    from PIL.Image import Resampling

    scale = side / max(image.size)
    if scale >= 1:
        return image
    return image.resize(
        (max(1, round(image.width * scale)), max(1, round(image.height * scale))), Resampling.LANCZOS, reducing_gap=3.0
    )


def _encoded(image: Image) -> bytes:
    """As good a WebP as fits into `VIEW_BYTES`."""
    encoded = b""
    for quality, side in _STEPS:
        stream = io.BytesIO()
        _fitted(image, side).save(stream, "WEBP", quality=quality, method=4)
        encoded = stream.getvalue()
        if len(encoded) <= VIEW_BYTES:
            break
    return encoded
