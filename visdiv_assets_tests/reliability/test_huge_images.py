"""Images with far more pixels than their bytes suggest are refused at once, with little memory."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from visdiv_assets_tests.conftest import CHECKOUT
from visdiv_assets_tests.imaging.images import encode, noise, png_chunk

SIDE = 50_000

#: Maximum memory in bytes and time in seconds for one such image.
MEMORY, SECONDS = 16 << 20, 1.0

# Run in a separate process and measured by VmHWM, since ru_maxrss starts with the peak of the parent process.
MEASURE = r"""
import json, re, sys, time
from pathlib import Path
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.formats import openers
from visdiv_assets_tests.imaging.images import FORMATS, encode, noise
from visdiv_assets.imaging.limits import DecodeLimits

def peak():
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

limits = DecodeLimits()
for options in FORMATS.values():
    decode_image(encode(noise(), **options), limits=limits)
told = {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    data = path.read_bytes()
    before, begin = peak(), time.perf_counter()
    found = decode_image(data, limits=limits)
    told[path.name] = (found.status, found.width, found.height, peak() - before, time.perf_counter() - begin)
print(json.dumps(told))
"""


def png_bomb() -> bytes:
    """Make a complete image of 2.5 billion black pixels of one bit, in 300 kB."""
    pixels, row = zlib.compressobj(), bytes(1 + SIDE // 8) * 100
    body = b"".join(pixels.compress(row) for _ in range(SIDE // 100)) + pixels.flush()
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")


def gif_bomb() -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", SIDE, SIDE, 0x80, 0, 0) + bytes(6) + encode(noise(), "GIF")[13:]


def tiff_bomb(big: bool) -> bytes:
    """Make a TIFF with one strip that claims all rows."""
    entries = [(256, SIDE), (257, SIDE), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, SIDE), (279, 1 << 31)]
    if big:
        fields = b"".join(struct.pack("<HHQQ", tag, 4, 1, value) for tag, value in entries)
        return b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, len(entries)) + fields + bytes(8 + 1000)
    fields = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + fields + bytes(4 + 1000)


def webp_bomb() -> bytes:
    """Make a WebP with the largest side of the format, 16,384."""
    body = b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\xff\x3f\0" * 2 + encode(noise(), "WEBP", lossless=True)[12:]
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def jpeg_bomb() -> bytes:
    data = bytearray(encode(noise(), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", SIDE, SIDE)
    return bytes(data)


def bmp_bomb() -> bytes:
    data = bytearray(encode(noise(), "BMP"))
    data[18:26] = struct.pack("<ii", SIDE, SIDE)
    return bytes(data)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_images_of_billions_of_pixels_take_no_time_and_no_memory(tmp_path: Path) -> None:
    bombs = {
        "bmp": bmp_bomb(),
        "gif": gif_bomb(),
        "jpeg": jpeg_bomb(),
        "png": png_bomb(),
        "ppm": f"P6\n{SIDE} {SIDE}\n255\n".encode(),
        "tiff": tiff_bomb(big=False),
        "tiff big": tiff_bomb(big=True),
        "webp": webp_bomb(),
    }
    assert 200_000 < len(bombs["png"]) < 2_000_000
    assert max(len(data) for name, data in bombs.items() if name != "png") < 20_000
    for name, data in bombs.items():
        (tmp_path / name).write_bytes(data)
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    told = json.loads(measured.stdout)
    assert {name: status for name, (status, *_) in told.items()} == dict.fromkeys(bombs, "too_large")
    sides = {name: (width, height) for name, (_, width, height, *_) in told.items()}
    # Pillow refuses the GIF before it reports its size. WebP allows no larger side.
    assert sides == {**dict.fromkeys(bombs, (SIDE, SIDE)), "gif": (None, None), "webp": (16_384, 16_384)}
    assert {name: memory for name, (*_, memory, _) in told.items() if memory > MEMORY} == {}
    assert {name: seconds for name, (*_, seconds) in told.items() if seconds > SECONDS} == {}
