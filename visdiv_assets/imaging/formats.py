"""The supported image formats: their signatures and their Pillow plugins.

Supported are JPEG (also MPO, a JPEG followed by more images, of which the first is read), PNG, GIF, WebP, BMP (also
without its file header, DIB), TIFF, PPM (P1 to P6), PFM, TGA, ICO (its largest image), and JPEG 2000 and AVIF if the
installed Pillow has them. The plugin for a file's signature is called directly, never through `Image.open`. So other
plugins cannot be reached, of which EPS starts Ghostscript, and the process-wide pixel limit of Pillow does not apply.
PFM is read without a plugin (`deep_pixels`).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from functools import cache
from typing import IO, TYPE_CHECKING

from visdiv_assets.imaging import deep_pixels
from visdiv_assets.imaging.other_formats import is_icon, sniff_document, sniff_other_image

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFile import ImageFile

Opener = Callable[[IO[bytes]], "Image"]

_SIGNATURES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
)
_JPEG2000 = (b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")

#: Sizes of the header of a bitmap, which tell its version.
_DIB_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_TGA_FOOTER = b"TRUEVISION-XFILE.\0"
#: Bytes at the end of a file that tell TGA.
TAIL_BYTES = 26
#: Bytes at the beginning of a file that tell every other format.
HEAD_BYTES = 4096

#: Frame markers of JPEG variants that libjpeg does not decode: lossless, differential, arithmetic lossless.
_UNSUPPORTED_FRAMES = frozenset({0xC3, 0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF})

#: Messages of Pillow for intact files of a variant that it does not read. The bare number is a TIFF compression.
_UNSUPPORTED = re.compile(
    r"unknown pixel mode|[Uu]nsupported (BMP|TIFF|DIB)|cannot handle|unknown raw mode|unsupported|^\d+$"
)


def sniff(data: bytes) -> str | None:
    """Return the format that a file's content indicates, also of one that is not read.

    Args:
        data: the encoded image; its first `HEAD_BYTES` and last `TAIL_BYTES` suffice.

    Returns:
        A key of `openers`, "pfm", or the name of a format that is not read, such as "heif"; None if it is none of the
        known ones.
    """
    return sniff_image(data) or sniff_document(data)


def sniff_image(data: bytes) -> str | None:
    """Return the format as `sniff` does, but None for documents and videos."""
    for signature, name in _SIGNATURES:
        # A file that ends within its signature counts as a truncated image.
        if data.startswith(signature) or (len(data) >= 3 and signature.startswith(data)):
            return name
    if data.startswith(_JPEG2000):
        return "jpeg2000"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp":
        length = min(max(int.from_bytes(data[:4], "big"), 16), 256)
        if b"avif" in data[8:length] or b"avis" in data[8:length]:
            return "avif"
    if data[:2] == b"BM" and _is_bitmap(data):
        return "bmp"
    if re.match(rb"P[1-6][\s#]", data):
        return "ppm"
    if deep_pixels.is_pfm(data):
        return "pfm"
    if is_icon(data):
        return "ico"
    if _is_dib(data):
        return "dib"
    return sniff_other_image(data) or ("tga" if _is_tga(data) else None)


def is_read(name: str) -> bool:
    """Return whether images of a format are decoded by the installed Pillow, or here."""
    return name == "pfm" or name in openers()


@cache
def openers() -> dict[str, Opener]:
    """Return Pillow's plugins by format; each takes a stream and reads only the header."""
    from PIL import (
        BmpImagePlugin,
        GifImagePlugin,
        Jpeg2KImagePlugin,
        JpegImagePlugin,
        PpmImagePlugin,
        TgaImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
        features,
    )

    found: dict[str, Opener] = {
        "jpeg": JpegImagePlugin.JpegImageFile,
        "png": _open_png,
        "gif": GifImagePlugin.GifImageFile,
        "bmp": BmpImagePlugin.BmpImageFile,
        "dib": BmpImagePlugin.DibImageFile,
        "tiff": TiffImagePlugin.TiffImageFile,
        "ppm": PpmImagePlugin.PpmImageFile,
        "tga": TgaImagePlugin.TgaImageFile,
        "ico": _open_ico,
    }
    if WebPImagePlugin.SUPPORTED:
        found["webp"] = WebPImagePlugin.WebPImageFile
    if features.check("jpg_2000"):
        found["jpeg2000"] = Jpeg2KImagePlugin.Jpeg2KImageFile
    try:
        from PIL import AvifImagePlugin
    except ImportError:  # Pillow before 11.3
        return found
    if AvifImagePlugin.SUPPORTED:
        found["avif"] = AvifImagePlugin.AvifImageFile
    return found


def declared_size(name: str, data: bytes) -> tuple[int, int] | None:
    """Return the size in the header of a format whose plugin allocates the image when it opens the file.

    Args:
        name: the format.
        data: the encoded image.

    Returns:
        Width and height in pixels; None if the header is invalid, and for the other formats, whose plugins report the
        size before they allocate the image.
    """
    if name == "webp":
        return _webp_size(data)
    if name == "ico":
        return _icon_size(data)
    return deep_pixels.pfm_size(data) if name == "pfm" else None


def unsupported_variant(name: str, data: bytes, message: str) -> bool:
    """Return whether a file that was not decoded is an intact one of a variant that the decoders do not read.

    Args:
        name: the format.
        data: the encoded image.
        message: what the decoder said.
    """
    if name == "jpeg":
        frame = re.search(rb"\xff([\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf])\0", data)
        return message.startswith("cannot handle") or (frame is not None and frame[1][0] in _UNSUPPORTED_FRAMES)
    if name == "png":
        return data[12:16] == b"CgBI"
    return name in ("tiff", "bmp", "dib", "ico", "tga", "jpeg2000") and bool(_UNSUPPORTED.search(message))


def _is_bitmap(data: bytes) -> bool:
    """Return whether a header follows BM, which also begins texts; a file that ends before it counts as truncated."""
    if len(data) < 18:
        return data[6:10] == b"\0\0\0\0"
    return int.from_bytes(data[14:18], "little") in _DIB_HEADERS


def _is_dib(data: bytes) -> bool:
    if len(data) < 40 or int.from_bytes(data[:4], "little") not in _DIB_HEADERS - {12, 16}:
        return False
    width, _, planes, bits = struct.unpack_from("<iiHH", data, 4)
    return width > 0 and planes == 1 and bits in (1, 2, 4, 8, 16, 24, 32)


def _is_tga(data: bytes) -> bool:
    """Return whether a file has the footer of TGA, or a header that is only possible in TGA."""
    if data[-len(_TGA_FOOTER) :] == _TGA_FOOTER:
        return True
    if len(data) < 18 or data[2] not in (2, 3, 10, 11) or any(data[at] for at in (1, 3, 4, 5, 6, 7)):
        return False
    width, height, bits, flags = struct.unpack_from("<HHBB", data, 12)
    depths = (8, 16) if data[2] in (3, 11) else (16, 24, 32)
    return width > 0 and height > 0 and bits in depths and not flags & 0xC0


def _open_png(stream: IO[bytes]) -> ImageFile:
    from PIL import PngImagePlugin

    image = PngImagePlugin.PngImageFile(stream)
    # Pillow scales the pixels to 8 bits but not the transparent color.
    key = image.info.get("transparency")
    raw_mode = image.tile[0].args if image.tile else None
    if isinstance(key, int) and raw_mode in ("L;2", "L;4"):
        image.info["transparency"] = (key & 3) * 85 if raw_mode == "L;2" else (key & 15) * 17
    elif isinstance(key, tuple) and raw_mode == "RGB;16B":
        image.info["transparency"] = tuple(value >> 8 for value in key)
    return image


def _open_ico(stream: IO[bytes]) -> Image:
    """Open the largest image of an icon; the plugin would load it without a limit of its size."""
    from PIL import IcoImagePlugin

    return IcoImagePlugin.IcoFile(stream).frame(0)


def _icon_size(data: bytes) -> tuple[int, int] | None:
    """Return the size of the largest image in an icon, as the header of the image itself states it."""
    found = []
    for entry in range(6, 6 + 16 * int.from_bytes(data[4:6], "little"), 16):
        if entry + 16 > len(data):
            break
        (offset,) = struct.unpack_from("<I", data, entry + 12)
        header = data[offset : offset + 24]
        if len(header) < 24:
            continue
        is_png = header.startswith(b"\x89PNG")
        width, height = struct.unpack_from(">II", header, 16) if is_png else struct.unpack_from("<II", header, 4)
        found.append((int(width), int(height) if is_png else int(height) // 2))
    return max(found, key=lambda size: size[0] * size[1], default=None)


def _webp_size(data: bytes) -> tuple[int, int] | None:
    chunk = data[12:16]
    if chunk == b"VP8X" and len(data) >= 30:
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if chunk == b"VP8L" and len(data) >= 25:
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if chunk == b"VP8 " and len(data) >= 30:
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None
