"""The web application of `visdiv review`: one page, and the requests that its script makes."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from visdiv_assets.corpus.image_lookup import ImageReader
from visdiv_assets.errors import InputError
from visdiv_assets.publishing.review.filters import MAX_SAMPLE, one_of, parse_filters
from visdiv_assets.publishing.review.filters import number as read_number
from visdiv_assets.publishing.review.marks import SAYINGS, Marks, Said
from visdiv_assets.publishing.review.pair_details import describe_pair
from visdiv_assets.publishing.review.pair_images import NoImageError, PairImages, View
from visdiv_assets.publishing.review.pair_index import SLICE, PairIndex
from visdiv_assets.publishing.review.pair_loading import KINDS
from visdiv_assets.publishing.web.application import json_answer, page_app, read_object

COMMAND = "visdiv review"
#: Maximum bytes of the body of a request.
MAX_BODY = 4096

_FILES = {
    "/": ("review.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/review.css": ("review.css", "text/css"),
    "/server.js": ("server.js", "text/javascript"),
    "/marks.js": ("marks.js", "text/javascript"),
    "/viewer.js": ("viewer.js", "text/javascript"),
    "/review.js": ("review.js", "text/javascript"),
}


@dataclass(frozen=True)
class Review:
    """What the application answers from.

    Attributes:
        index: the pairs.
        marks: what people said of them.
        images: draws the images of pairs.
        reader: reads what is known of images.
        title: name of the data, for the title of the page.
    """

    index: PairIndex
    marks: Marks
    images: PairImages
    reader: ImageReader
    title: str


def build_app(review: Review, token: str, names: tuple[str, ...] = ()) -> Starlette:
    """Return the application.

    Args:
        review: what it answers from.
        token: who knows it may read and mark pairs.
        names: names of the server beside localhost and IP addresses, see `Guard`.
    """
    handlers = _Handlers(review)
    routes = [
        Route("/api/start", json_answer(handlers.start), methods=["GET"]),
        Route("/api/pairs", json_answer(handlers.pairs), methods=["GET"]),
        Route("/api/pairs/{number:int}", json_answer(handlers.pair), methods=["GET"]),
        Route("/api/pairs/{number:int}/{view}", handlers.image, methods=["GET"]),
        Route("/api/pairs/{number:int}/mark", handlers.mark, methods=["POST"]),
    ]
    return page_app(_FILES, routes, token, command=COMMAND, names=names)


class _Handlers:
    """Answers to the requests of the page."""

    def __init__(self, review: Review) -> None:
        self._review = review

    def start(self, request: Request) -> dict[str, Any]:
        """Return what the page shows first: the data's name, the kinds of pairs, and the values to filter by."""
        index, counts = self._review.index, self._review.index.counts()
        return {
            "title": self._review.title,
            "kinds": {kind: counts.get(kind, 0) for kind in KINDS},
            "facets": {kind: index.facets(kind) for kind in KINDS},
            "decisions": str(self._review.marks.path),
        }

    def pairs(self, request: Request) -> dict[str, Any]:
        """Return a slice of the listed pairs: those after or before a place, or from the first unmarked one on."""
        self._review.marks.refresh()
        index, query = self._review.index, request.query_params
        filters = parse_filters(query)
        limit = read_number("limit", query, int, 1, SLICE) or SLICE
        after, before = (read_number(name, query, int) for name in ("after", "before"))
        if before is not None:
            found = index.slice_before(filters, before, limit)
        else:
            if after is None and one_of("start", query, ("first", "unmarked")) == "unmarked":
                after = (index.first_unmarked(filters) or 1) - 1
            found = index.slice_after(filters, after or 0, limit)
        return {
            "pairs": [{name: each[name] for name in ("number", "place", "mark", "verdict")} for each in found],
            "first": 1 + index.count(filters, found[0]["place"]) if found else 0,
            "listed": index.count(filters),
            "progress": asdict(index.progress(filters)),
        }

    def pair(self, request: Request) -> dict[str, Any]:
        """Return all that is known of a pair."""
        return describe_pair(self._review.reader, self._find(request))

    async def image(self, request: Request) -> Response:
        """Return a view of a pair as PNG or JPEG."""
        pair = await run_in_threadpool(self._find, request)
        if request.path_params["view"] not in list(View):
            raise HTTPException(404, "there is no such view")
        try:
            image = await run_in_threadpool(self._review.images.draw, pair, View(request.path_params["view"]))
        except NoImageError as error:
            raise HTTPException(422, str(error)) from error
        return Response(image.data, media_type=image.media_type)

    async def mark(self, request: Request) -> Response:
        """Save what a person says of a pair, and return what was said before and how far the review is."""
        said, sample = await _read_mark(request)
        pair = await run_in_threadpool(self._find, request)
        sampled = pair["sample_place"] is not None and pair["sample_place"] <= sample
        await run_in_threadpool(self._review.marks.mark, pair, said, sampled=sampled)
        found = await run_in_threadpool(self._find, request)
        progress = await run_in_threadpool(self._review.index.progress, parse_filters(request.query_params))
        now = {"mark": found["mark"], "sampled": found["sampled"], "before": pair["mark"]}
        return JSONResponse({**now, "progress": asdict(progress)})

    def _find(self, request: Request) -> dict[str, Any]:
        number = request.path_params["number"]
        pair = self._review.index.find(number) if number <= self._review.index.pairs else None
        if pair is None:
            raise HTTPException(404, "there is no such pair")
        return pair


async def _read_mark(request: Request) -> tuple[Said, int]:
    """Return what a request says of a pair, and the size of the sample that it was shown in; 0 without one.

    Raises:
        HTTPException: the body is too long or not JSON in UTF-8.
        InputError: it says something else.
    """
    given = await read_object(request, MAX_BODY)
    if set(given) - {"decision", "sample"}:
        raise InputError("the body must be an object with decision, and sample if the pair was shown in one")
    said, sample = given.get("decision"), given.get("sample", 0)
    if said not in SAYINGS:
        raise InputError(f"decision must be one of {', '.join(SAYINGS)}")
    if type(sample) is not int or not 0 <= sample <= MAX_SAMPLE:
        raise InputError(f"sample must be a number from 0 to {MAX_SAMPLE}")
    return said, sample
