"""Contact sheets: pairs of images, or single images, with captions, small enough to embed in a report."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from visdiv_assets.imaging.color_modes import to_rgb

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont

PAIRS_PER_ROW = 3
IMAGES_PER_ROW = 6

_MARGIN = 12
_PAIR_GAP = 20
_TILE_GAP = 4
_PADDING = 4
_SIDES = (160, 140, 120, 100, 80, 64, 48, 32)
_QUALITIES = (88, 80, 70, 60, 50, 40, 30)
_FONT_SIZES = (14, 13, 12, 11, 10)

_WHITE = (255, 255, 255)
_INK = (40, 40, 40)
_BORDER = (200, 200, 200)
_UNREADABLE = (225, 225, 225)
_CROSS = (150, 150, 150)


@dataclass(frozen=True, slots=True)
class PairTile:
    """Two images side by side.

    Attributes:
        left: an image of any mode and size; None if it is unreadable.
        right: an image of any mode and size; None if it is unreadable.
        caption: one line, such as "row 12 | row 230   0.973"; it is shortened if it does not fit.
    """

    left: Image | None
    right: Image | None
    caption: str


@dataclass(frozen=True, slots=True)
class ImageTile:
    """One image.

    Attributes:
        image: an image of any mode and size; None if it is unreadable.
        captions: lines under the image; a line that does not fit is shortened in the middle.
    """

    image: Image | None
    captions: Sequence[str]


def pair_sheet(pairs: Sequence[PairTile], *, max_bytes: int = 100_000) -> bytes:
    """Draw pairs on white, three to a row; an unreadable image is a gray tile with a cross.

    Args:
        pairs: at least one pair, in reading order.
        max_bytes: size limit of the result. To stay within it, first the JPEG quality is lowered, then the tile size.

    Returns:
        A JPEG of at most `max_bytes` bytes, the same for the same pairs.

    Raises:
        ValueError: there are no pairs, or too many to fit at the smallest tile size.
    """
    return _encode_sheet(
        [((pair.left, pair.right), [pair.caption]) for pair in pairs], PAIRS_PER_ROW, max_bytes, "pair"
    )


def image_sheet(images: Sequence[ImageTile], *, max_bytes: int = 100_000) -> bytes:
    """Draw single images on white, six to a row; otherwise as `pair_sheet`.

    Raises:
        ValueError: there are no images, or too many to fit at the smallest tile size.
    """
    tiles = [((each.image,), each.captions) for each in images]
    return _encode_sheet(tiles, IMAGES_PER_ROW, max_bytes, "image")


def _encode_sheet(
    groups: Sequence[tuple[Sequence[Image | None], Sequence[str]]], per_row: int, max_bytes: int, kind: str
) -> bytes:
    """Draw a sheet of groups; all groups have the same number of images and the same number of caption lines."""
    if not groups:
        raise ValueError(f"a contact sheet needs at least one {kind}")
    # Only the largest tiles are drawn from the images, which may be huge; smaller tiles are drawn from larger ones.
    tiles = [[_draw_tile(image, _SIDES[0]) for image in images] for images, _ in groups]
    captions = [["".join(c if c.isprintable() else " " for c in line).strip() for line in lines] for _, lines in groups]
    for side in _SIDES:
        sheet = _draw_sheet(tiles, captions, side, per_row)
        for quality in _QUALITIES:
            stream = io.BytesIO()
            sheet.save(stream, "JPEG", quality=quality, optimize=True)
            if stream.tell() <= max_bytes:
                return stream.getvalue()
    raise ValueError(f"{len(groups)} {kind}s do not fit into {max_bytes} bytes")


def thumbnail_data_uri(jpeg: bytes) -> str:
    """Return a JPEG as a data URI for an `img` element or Markdown: "data:image/jpeg;base64,..."."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")


def _draw_tile(image: Image | None, side: int) -> Image:
    """Draw one square tile with a border: RGB, side x side pixels."""
    from PIL import ImageDraw
    from PIL.Image import Resampling, new

    inner = side - 2 * _PADDING
    if image is None:
        tile = new("RGB", (side, side), _UNREADABLE)
        draw = ImageDraw.Draw(tile)
        arm = side // 5
        low, high = side // 2 - arm, side // 2 + arm
        draw.line((low, low, high, high), fill=_CROSS, width=max(1, side // 40))
        draw.line((low, high, high, low), fill=_CROSS, width=max(1, side // 40))
    else:
        tile = new("RGB", (side, side), _WHITE)
        scale = inner / max(image.size)
        fitted = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        rgb = image if image.mode == "RGB" else to_rgb(image)
        # Enlarged images show their pixels as squares; reduced images are smooth.
        small = rgb.resize(fitted, Resampling.NEAREST if scale >= 1 else Resampling.LANCZOS, reducing_gap=3.0)
        tile.paste(small, ((side - fitted[0]) // 2, (side - fitted[1]) // 2))
    ImageDraw.Draw(tile).rectangle((0, 0, side - 1, side - 1), outline=_BORDER)
    return tile


def _draw_sheet(tiles: Sequence[Sequence[Image]], captions: Sequence[Sequence[str]], side: int, per_row: int) -> Image:
    from PIL import ImageDraw
    from PIL.Image import Resampling, new

    group_width = len(tiles[0]) * (side + _TILE_GAP) - _TILE_GAP
    font, line_height = _choose_font([lines[0] for lines in captions], group_width)
    columns = min(per_row, len(tiles))
    rows = -(-len(tiles) // columns)
    group_height = side + line_height * max(len(lines) for lines in captions)
    width = 2 * _MARGIN + columns * group_width + (columns - 1) * _PAIR_GAP
    height = 2 * _MARGIN + rows * group_height + (rows - 1) * _MARGIN
    sheet = new("RGB", (width, height), _WHITE)
    draw = ImageDraw.Draw(sheet)
    for index, (group, lines) in enumerate(zip(tiles, captions, strict=True)):
        row, column = divmod(index, columns)
        x = _MARGIN + column * (group_width + _PAIR_GAP)
        y = _MARGIN + row * (group_height + _MARGIN)
        for offset, tile in enumerate(group):
            small = tile if tile.width == side else tile.resize((side, side), Resampling.LANCZOS)
            sheet.paste(small, (x + offset * (side + _TILE_GAP), y))
        for line, caption in enumerate(lines):
            text = _shorten(caption, font, group_width)
            left = x + (group_width - font.getlength(text)) / 2
            draw.text((left, y + side + 3 + line * line_height), text, fill=_INK, font=font)
    return sheet


def _choose_font(captions: Sequence[str], width: int) -> tuple[FreeTypeFont | ImageFont, int]:
    """Return the largest font in which every caption fits, or else the smallest, and the line height in pixels."""
    from PIL import ImageFont

    font = ImageFont.load_default(size=_FONT_SIZES[0])
    size = _FONT_SIZES[0]
    for size in _FONT_SIZES:
        font = ImageFont.load_default(size=size)
        if all(font.getlength(caption) <= width for caption in captions):
            break
    return font, size + 8


def _shorten(text: str, font: FreeTypeFont | ImageFont, width: int) -> str:
    """Remove characters from the middle of a caption, since its end is the similarity."""
    if font.getlength(text) <= width:
        return text
    for kept in range(len(text) - 1, 0, -1):
        short = text[: kept // 2] + "..." + text[len(text) - (kept - kept // 2) :]
        if font.getlength(short) <= width:
            return short
    return ""
