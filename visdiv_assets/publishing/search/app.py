"""The web application of `visdiv search --serve`: one page, and the requests that its script makes."""

from __future__ import annotations

import base64
import binascii
import math
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from visdiv_assets.embedding.queries import TABLES, By, Query
from visdiv_assets.errors import InputError
from visdiv_assets.imaging.thumbnails import thumbnails
from visdiv_assets.publishing import text_cells
from visdiv_assets.publishing.search.conditions import allowed_by, fields
from visdiv_assets.publishing.search.finding import Finder, Like, Match
from visdiv_assets.publishing.web.application import json_answer, page_app, read_object

COMMAND = "visdiv search --serve"
#: Maximum bytes of the body of a request: images are sent in it, in Base64.
MAX_BODY = 32 << 20
#: Maximum images, and queries, of a search.
MAX_COUNT, MAX_QUERIES = 300, 50
#: Maximum characters of words to search for.
MAX_TEXT = 2_000
#: Characters of the texts of a row that are sent.
TEXT_SHOWN = 400

_FILES = {
    "/": ("search.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/search.css": ("search.css", "text/css"),
    "/server.js": ("server.js", "text/javascript"),
    "/search.js": ("search.js", "text/javascript"),
}


@dataclass(frozen=True)
class Search:
    """What the application answers from.

    Attributes:
        finder: finds images.
        warehouse: the published DuckDB file, for conditions; it need not exist.
        title: name of the data, for the title of the page.
        no_words: returns why words cannot be searched for; empty if they can.
    """

    finder: Finder
    warehouse: Path
    title: str
    no_words: Callable[[], str]


def build_app(search: Search, token: str, names: tuple[str, ...] = ()) -> Starlette:
    """Return the application.

    Args:
        search: what it answers from.
        token: who knows it may search.
        names: names of the server beside localhost and IP addresses, see `Guard`.
    """
    handlers = _Handlers(search)
    routes = [
        Route("/api/start", json_answer(handlers.start), methods=["GET"]),
        Route("/api/search", handlers.search, methods=["POST"]),
    ]
    return page_app(_FILES, routes, token, command=COMMAND, names=names)


class _Handlers:
    """Answers to the requests of the page."""

    def __init__(self, search: Search) -> None:
        self._search = search
        # One search at a time: it uses all threads, and models are loaded once.
        self._searching = threading.Lock()

    def start(self, request: Request) -> dict[str, Any]:
        """Return what the page shows first: the data's name, the subsets, the models, and columns for conditions."""
        lake = self._search.finder.reader.lake
        held = self._search.finder.source.subsets()
        stored = {by: [name for name in lake.partitions(table) if name in held] for by, table in TABLES.items()}
        published = self._search.warehouse.is_file()
        return {
            "title": self._search.title,
            "subsets": sorted({name for names in stored.values() for name in names}),
            "models": {by: bool(names) for by, names in stored.items()},
            "no_words": self._search.no_words(),
            "fields": [{**asdict(field), "operators": field.operators} for field in fields()] if published else [],
            "most": MAX_COUNT,
        }

    async def search(self, request: Request) -> Response:
        """Return the images that best match the queries of a request, best first."""
        given = await read_object(request, MAX_BODY)
        return JSONResponse({"matches": await run_in_threadpool(self._find, given)})

    def _find(self, given: Mapping[str, Any]) -> list[dict[str, Any]]:
        if unknown := set(given) - {"by", "queries", "conditions", "subsets", "count"}:
            raise InputError(f"a search has no {sorted(unknown)[0]}")
        by, count, subsets = given.get("by"), given.get("count"), given.get("subsets", [])
        if not isinstance(by, str) or by not in TABLES:
            raise InputError(f"by must be one of {', '.join(TABLES)}")
        if type(count) is not int or not 1 <= count <= MAX_COUNT:
            raise InputError(f"count must be a number from 1 to {MAX_COUNT}")
        if not isinstance(subsets, list) or not all(isinstance(name, str) for name in subsets):
            raise InputError("subsets must be a list of names")
        queries, like = _read_queries(given.get("queries"))
        conditions = given.get("conditions", [])
        limited = allowed_by(self._search.warehouse, conditions) if conditions else nullcontext()
        with self._searching, limited as allowed:
            return _shown(self._search.finder.find(queries, cast("By", by), subsets, count, like=like, allowed=allowed))


def _read_queries(given: object) -> tuple[list[Query], list[Like]]:
    """Return the queries of a request: those to embed, and images of subsets.

    Raises:
        InputError: they are not a list of queries.
    """
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_QUERIES:
        raise InputError(f"queries must be a list of 1 to {MAX_QUERIES}")
    queries, like = [], []
    for each in given:
        weight = each.get("weight") if isinstance(each, dict) else None
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not math.isfinite(weight):
            raise InputError("a query must have a weight, which is a number")
        match {name: value for name, value in each.items() if name != "weight"}:
            case {"text": str(text), **rest} if text.strip() and len(text) <= MAX_TEXT and not rest:
                queries.append(Query(float(weight), text=text.strip()))
            case {"image": str(encoded), **rest} if not rest:
                queries.append(Query(float(weight), image=_decode(encoded)))
            case {"subset": str(subset), "image_id": str(image_id), **rest} if not rest:
                like.append(Like(subset, image_id, float(weight)))
            case _:
                raise InputError(
                    f"a query must have a text of 1 to {MAX_TEXT:,} characters, an image in Base64, or subset and "
                    "image_id"
                )
    return queries, like


def _decode(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise InputError("the image is not Base64") from None


def _shown(matches: Sequence[Match]) -> list[dict[str, Any]]:
    """Return what the page shows of found images."""
    small = thumbnails(match.image.preview for match in matches)
    return [
        {
            "subset": match.image.place,
            "image_id": match.image.image_id,
            "position": text_cells.position(match.image),
            "score": round(match.score, 4),
            "text": text_cells.clean(match.image.note, TEXT_SHOWN),
            "webp": small[match.image.preview].encoded,
            "about": small[match.image.preview].about,
            "tiny": small[match.image.preview].tiny,
        }
        for match in matches
    ]
