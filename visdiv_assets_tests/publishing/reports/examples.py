"""Reports for the tests of this folder, and a parser that is as strict about their HTML as it can be."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
from PIL import Image

from visdiv_assets.corpus.image_lookup import ImagePosition
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.identity import image_id
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.imaging.thumbnails import SIDE, Preview, encode_thumbnail, preview, unreadable
from visdiv_assets.publishing.reports import AlignedView, ImageRef, PairEntry, Report, Value, Verdict
from visdiv_assets.sources import Kind

MAX_PIXELS = 10_000_000

VOID = {"meta", "link", "input", "br"}


def jpeg(seed: int, width: int = 40, height: int = 30) -> bytes:
    """Noise: no two seeds are alike, and nothing is harder to compress."""
    values = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def image(data: bytes | None, row: int = 0, *, place: str = "clipart_nature", note: str = "") -> ImageRef:
    return ImageRef(place, row, 0, image_id(data or b""), preview_of(data), note)


class UnreadableImages:
    """Reads images of which nothing is known, and keeps what it was asked for."""

    def __init__(self, lake: Any = None) -> None:
        self.lake = lake
        self.asked: list[tuple[Kind, list[ImagePosition]]] = []

    def read(self, kind: Kind, positions: Iterable[ImagePosition]) -> dict[ImagePosition, ImageRef]:
        listed = list(positions)
        self.asked.append((kind, listed))
        return {position: ImageRef(*position, Preview(None, "no bytes")) for position in listed}


def preview_of(data: bytes | None) -> Preview:
    """What the lake would hold of an encoded image."""
    decoded = decode_image(data, limits=DecodeLimits(MAX_PIXELS))
    if decoded.pixels is None:
        return unreadable(decoded)
    return preview(encode_thumbnail(decoded.pixels, SIDE), decoded)


def pair(
    left: bytes | None, right: bytes | None, columns: Mapping[str, Value] | None = None, **texts: str
) -> PairEntry:
    return PairEntry(image(left, 1, **texts), image(right, 2, **texts), columns or {"similarity": 0.9})


def verified(similarity: float | None, confirmed: bool | None, *, view: AlignedView | None = None) -> PairEntry:
    """A pair without images; confirmed is None for one whose pixels were not compared."""
    verdict = Verdict(True, "cropped") if confirmed else Verdict(False, "unconfirmed", "contents differ")
    columns: dict[str, Value] = {"similarity": similarity}
    return PairEntry(image(None, 1), image(None, 2), columns, None if confirmed is None else verdict, view)


def undecided(similarity: float) -> PairEntry:
    """A compared pair without images that is neither confirmed nor rejected."""
    return replace(verified(similarity, None), verdict=Verdict(None, "unconfirmed", "too small"))


def aligned(seed: int, *, length: int = 20, marked: bool = True) -> AlignedView:
    """Views of random bytes, which nothing decodes."""
    one, two, three = (np.random.default_rng([seed, n]).bytes(length) for n in range(3))
    return AlignedView(one, two, three if marked else None, (320, 200), (320, 200), 0.25, f"caption {seed}")


def report(pairs: Sequence[PairEntry], **changes: Any) -> Report:
    values: dict[str, Any] = {
        "title": "Leaks of a benchmark",
        "introduction": "Training images beside the benchmark's.",
        "facts": {"Threshold": "0.95"},
        "pairs_total": len(pairs),
        "left_heading": "Training image",
        "right_heading": "Benchmark image",
    }
    return Report(pairs=pairs, **values | changes)


class Page(HTMLParser):
    """Reads a page, and fails on tags that do not match and on ids that are used twice."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.raw = {"style": "", "script": ""}
        self.feed(html)
        self.close()
        assert self._open == []
        ids = [attributes["id"] for _, attributes in self.elements if "id" in attributes]
        assert len(ids) == len(set(ids))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in self.raw:
            self.raw[self._open[-1]] += data
        else:
            self.text += data

    def all(self, tag: str, **attributes: str) -> list[dict[str, str]]:
        """The attributes of the elements of a tag (any if "") that have these attributes."""
        return [found for name, found in self.elements if tag in ("", name) and attributes.items() <= found.items()]
