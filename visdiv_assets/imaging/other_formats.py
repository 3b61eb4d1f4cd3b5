"""The formats that are recognized but not read, by their signatures."""

from __future__ import annotations

import re
import struct

#: Signatures at the beginning of a file, of images and then of documents.
_IMAGES = (
    (b"8BPS\0\1", "psd"),
    (b"8BPS\0\2", "psb"),
    (b"DDS ", "dds"),
    (b"qoif", "qoi"),
    (b"\x76\x2f\x31\x01", "exr"),
    (b"#?RADIANCE", "hdr"),
    (b"#?RGBE", "hdr"),
    (b"gimp xcf", "xcf"),
    (b"SIMPLE  =", "fits"),
    (b"\xd7\xcd\xc6\x9a", "wmf"),
    (b"\x59\xa6\x6a\x95", "sun raster"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "jpeg xl"),
    (b"\xff\x0a", "jpeg xl"),
    (b"II\xbc\x01", "jpeg xr"),
    (b"FLIF", "flif"),
    (b"BPG\xfb", "bpg"),
    (b"AT&TFORM", "djvu"),
    (b"icns", "icns"),
    (b"P7\n", "pam"),
    (b"/* XPM */", "xpm"),
    (b"\x8aMNG\r\n\x1a\n", "mng"),
    (b"FUJIFILMCCD-RAW", "raf"),
)
_DOCUMENTS = (
    (b"%PDF-", "pdf"),
    (b"%!PS", "postscript"),
    (b"\xc5\xd0\xd3\xc6", "postscript"),
    (b"\x1a\x45\xdf\xa3", "matroska video"),
    (b"\x93NUMPY", "numpy array"),
)

#: Formats by the brands of a file of boxes, as ISO 14496-12 describes them.
_BRANDS = (
    ((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "heif"),
    ((b"crx ",), "cr3"),
)

_SVG_ROOT = re.compile(rb"<(?:\w{1,32}:)?svg[\s>/]")
_XBM = re.compile(rb"\s*#define\s+\S+_width\s+\d")

#: Bytes of text in which the root of an SVG file is looked for.
_SVG_HEAD = 4096


def sniff_other_image(data: bytes) -> str | None:
    """Return the format of an image that is not read; None if it is none of the known ones."""
    if name := _signature(data, _IMAGES):
        return name
    if data[4:8] == b"ftyp":
        return _brand(data)
    if data[:4] == b"\0\0\2\0" and _is_icon_directory(data):
        return "cur"
    if data[128:132] == b"DICM":
        return "dicom"
    if data[:4] == b"\1\0\0\0" and data[40:44] == b" EMF":
        return "emf"
    if data[:2] == b"\x01\xda" and data[2:3] in (b"\0", b"\1") and data[3:4] in (b"\1", b"\2"):
        return "sgi"
    if data[:1] == b"\x0a" and data[1:2] in b"\0\2\3\4\5" and data[2:3] == b"\1" and data[3:4] in b"\1\2\4\x08":
        return "pcx"
    if _is_svg(data[:_SVG_HEAD]):
        return "svg"
    return "xbm" if _XBM.match(data[:256]) else None


def sniff_document(data: bytes) -> str | None:
    """Return the format of a document or video that may show images; None if it is none of the known ones."""
    if name := _signature(data, _DOCUMENTS):
        return name
    return "video" if data[4:8] == b"ftyp" and data[8:11] in (b"iso", b"mp4", b"avc", b"qt ", b"M4V", b"3gp") else None


def is_icon(data: bytes) -> bool:
    """Return whether a file begins as an ICO does."""
    return data[:4] == b"\0\0\1\0" and _is_icon_directory(data)


def _is_svg(text: bytes) -> bool:
    """Return whether the first element of a text is svg, after a declaration, comments and a document type."""
    text = text.removeprefix(b"\xef\xbb\xbf").lstrip()
    while text.startswith((b"<?", b"<!")):
        end = b"-->" if text.startswith(b"<!--") else b">"
        text = text.partition(end)[2].lstrip()
    return _SVG_ROOT.match(text) is not None


def _signature(data: bytes, signatures: tuple[tuple[bytes, str], ...]) -> str | None:
    return next((name for signature, name in signatures if data.startswith(signature)), None)


def _brand(data: bytes) -> str | None:
    length = min(max(int.from_bytes(data[:4], "big"), 16), 256)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, length, 4))]
    return next((name for known, name in _BRANDS for brand in brands if brand in known), None)


def _is_icon_directory(data: bytes) -> bool:
    if len(data) < 22:
        return False
    (count,) = struct.unpack_from("<H", data, 4)
    size, offset = struct.unpack_from("<II", data, 14)
    return 0 < count < 1024 and data[9] == 0 and size > 0 and int(offset) >= 6 + 16 * count
