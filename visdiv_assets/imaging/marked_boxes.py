"""Draw boxes of text on thumbnails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from visdiv_assets.imaging.thumbnails import SIDE, Preview, encode_thumbnail

#: Colors of boxes: those that matched, and the others.
MATCHED, OTHER = (214, 39, 40), (120, 144, 176)


def mark_boxes(preview: Preview, corners: Sequence[Sequence[float]], matched: Sequence[bool]) -> Preview:
    """Return a preview on which boxes are drawn; unreadable images stay as they are.

    Args:
        preview: of the image.
        corners: of each box x0, y0, x1, y1, ... of its four corners, in units of the image's width and height.
        matched: which boxes are drawn in red.
    """
    from PIL import ImageDraw

    image = preview.image
    if image is None:
        return preview
    draw = ImageDraw.Draw(image)
    # The boxes that matched are drawn last, over the others.
    for wanted, color, width in ((False, OTHER, 1), (True, MATCHED, 2)):
        for box, is_matched in zip(corners, matched, strict=True):
            if is_matched is wanted:
                points = [(x * image.width, y * image.height) for x, y in zip(box[::2], box[1::2], strict=True)]
                draw.polygon(points, outline=color, width=width)
    return replace(preview, webp=encode_thumbnail(image, SIDE))
