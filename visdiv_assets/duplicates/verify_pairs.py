"""Verify many pairs of images, with each image read, decoded and prepared as rarely as memory allows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Protocol, TypeVar

import pyarrow as pa

from visdiv_assets.corpus.image_fetch import Fetch
from visdiv_assets.duplicates.verify import (
    DEFAULT_PARAMS,
    Background,
    Evidence,
    PreparedImage,
    Screened,
    Subject,
    VerifyParams,
    compare_pixels,
    prepare_pixels,
    screen,
    stored_subject,
)
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.progress import Progress, silent
from visdiv_assets.threads import ordered_map
from visdiv_assets.vectors.lru import LruCache

#: The verdict on a pair: `verified` is true if it is confirmed, false if it is rejected, null if it is undecided;
#: `confidence` is the probability that the images are copies, null if it was not estimated; `evidence` is one of
#: `verify.KINDS`, `reason` one of `verify.REASONS` or empty; `transform` holds the six numbers of the affine map from
#: the second image to the first, the nine of a homography, or none.
VERDICT_FIELDS = (
    ("verified", pa.bool_()),
    ("confidence", pa.float32()),
    ("evidence", pa.string()),
    ("reason", pa.string()),
    ("transform", pa.list_(pa.float32())),
    ("overlap", pa.float32()),
    ("agreement", pa.float32()),
)
VERDICT_SCHEMA = pa.schema(VERDICT_FIELDS)

#: Number of pairs whose images are read together.
PAIRS_AT_A_TIME = 256
#: Number of images that are kept for further pairs: features and thumbnails, about 500 kB each, and of those whose
#: pixels were compared as many, about 1 MB each at most.
IMAGES_KEPT = 256


class ImageAccess(Protocol):
    """What the comparison reads of images; see `pair_images.PairImages`."""

    def stored(self, image_ids: Sequence[str]) -> Sequence[tuple[bytes | None, bytes | None]]:
        """Return packed features and encoded thumbnails; None and None of an unreadable image."""
        ...

    def in_order(self, image_ids: Sequence[str]) -> Fetch:
        """Return a function that fetches originals, which will be asked for in this order."""
        ...

    def backgrounds(self, image_id_a: str, image_id_b: str) -> Sequence[Background]:
        """Return images of the kinds of the two, against which features are rare or not."""
        ...


def compare_pairs(
    left: Sequence[str],
    right: Sequence[str],
    images: ImageAccess,
    *,
    threads: int,
    limits: DecodeLimits,
    params: VerifyParams = DEFAULT_PARAMS,
    progress: Progress = silent,
) -> pa.Table:
    """Verify pairs of images: all by features and thumbnails, then those left by their pixels.

    Args:
        left: image_ids; pairs of one image should be adjacent.
        right: image_ids of the other images, as many.
        images: reads the images.
        threads: number of threads that decode and compare.
        limits: limits of an image; a larger one counts as unreadable.
        params: parameters of the verification.
        progress: called with the number of pairs finished.

    Returns:
        table of `VERDICT_SCHEMA`, in the order of the pairs.
    """
    import cv2
    from threadpoolctl import threadpool_limits

    # Each pair is verified in one thread; threads of OpenCV and of matrix products would compete with these.
    cv2.setNumThreads(1)
    pairs = list(zip(left, right, strict=True))
    with threadpool_limits(1, user_api="blas"):
        return verdict_table(_compare(pairs, _Comparison(images, threads, limits, params), progress))


def _compare(pairs: Sequence[Pair], comparison: _Comparison, progress: Progress) -> list[Evidence]:
    found: list[Evidence | Screened] = []
    for screened in comparison.screen(pairs):
        found.append(screened)
        progress(isinstance(screened, Evidence))
    waiting = [(index, known) for index, known in enumerate(found) if isinstance(known, Screened)]
    compared = comparison.compare([pairs[index] for index, _ in waiting], [known for _, known in waiting])
    for (index, _), evidence in zip(waiting, compared, strict=True):
        found[index] = evidence
        progress(1)
    return [evidence for evidence in found if isinstance(evidence, Evidence)]


def verdict_table(found: Sequence[Evidence]) -> pa.Table:
    """Return evidence as a table of `VERDICT_SCHEMA`."""
    columns = [
        [evidence.verified for evidence in found],
        [evidence.confidence for evidence in found],
        [evidence.kind for evidence in found],
        [evidence.reason for evidence in found],
        [list(evidence.transform) for evidence in found],
        [evidence.overlap for evidence in found],
        [evidence.agreement for evidence in found],
    ]
    return pa.table(
        [pa.array(values, field.type) for values, field in zip(columns, VERDICT_SCHEMA, strict=True)],
        schema=VERDICT_SCHEMA,
    )


Pair = tuple[str, str]
Stored = tuple[bytes | None, bytes | None]
Value = TypeVar("Value")
Compared = TypeVar("Compared")


class _Comparison:
    """Compares pairs in batches, and keeps the images used last."""

    def __init__(self, images: ImageAccess, threads: int, limits: DecodeLimits, params: VerifyParams) -> None:
        self._images, self._threads, self._limits, self._params = images, threads, limits, params
        self._subjects: LruCache[Subject] = LruCache(IMAGES_KEPT)
        self._pixels: LruCache[PreparedImage] = LruCache(IMAGES_KEPT)

    def screen(self, pairs: Sequence[Pair]) -> Iterator[Evidence | Screened]:
        """Yield the evidence of features and thumbnails, or what `compare` goes on from."""
        for batch in _batches(pairs):
            subjects = _get(self._subjects, batch, self._read)

            def screen_one(
                task: tuple[Pair, Sequence[Background]], subjects: dict[str, Subject] = subjects
            ) -> Evidence | Screened:
                (a, b), backgrounds = task
                return screen(subjects[a], subjects[b], self._params, backgrounds, (a, b))

            # Backgrounds are read in this thread, since their cache is not made for several.
            tasks = ((pair, self._images.backgrounds(*pair)) for pair in batch)
            yield from ordered_map(screen_one, tasks, threads=self._threads, ahead=4)

    def compare(self, pairs: Sequence[Pair], screened: Sequence[Screened]) -> Iterator[Evidence]:
        """Yield the evidence of pairs of which pixels are needed."""
        batches = list(_batches(pairs))
        fetch = self._images.in_order(list(dict.fromkeys(name for batch in batches for name in _names(batch))))

        def prepare(names: Sequence[str]) -> Iterable[PreparedImage]:
            return ordered_map(self._prepare, fetch(names), threads=self._threads)

        waiting = iter(screened)
        for batch in batches:
            pixels = _get(self._pixels, batch, prepare)

            def compare_one(task: tuple[Pair, Screened], pixels: dict[str, PreparedImage] = pixels) -> Evidence:
                (a, b), known = task
                return compare_pixels(known, pixels[a], pixels[b], self._params)

            yield from ordered_map(compare_one, zip(batch, waiting, strict=False), threads=self._threads, ahead=4)

    def _read(self, names: Sequence[str]) -> Iterable[Subject]:
        def open_one(stored: Stored) -> Subject:
            return stored_subject(*stored, self._params)

        return ordered_map(open_one, self._images.stored(names), threads=self._threads)

    def _prepare(self, data: bytes | None) -> PreparedImage:
        return prepare_pixels(decode_image(data, limits=self._limits).pixels, self._params)


def _batches(pairs: Sequence[Pair]) -> Iterator[Sequence[Pair]]:
    for start in range(0, len(pairs), PAIRS_AT_A_TIME):
        yield pairs[start : start + PAIRS_AT_A_TIME]


def _names(batch: Sequence[Pair]) -> list[str]:
    """Return the images of some pairs, each once, those on the left first."""
    return list(dict.fromkeys([*(a for a, _ in batch), *(b for _, b in batch)]))


def _get(
    cache: LruCache[Value], batch: Sequence[Pair], make: Callable[[Sequence[str]], Iterable[Value]]
) -> dict[str, Value]:
    """Return the values of the images of a batch; make those that are not cached."""
    names = _names(batch)
    cached = [name for name in names if name in cache]
    missing = [name for name in names if name not in cache]
    made = dict(zip(missing, make(missing), strict=True)) if missing else {}
    # Take the cached ones first: the new ones may push them out.
    return {name: cache.get(name, partial(made.__getitem__, name)) for name in [*cached, *missing]}
