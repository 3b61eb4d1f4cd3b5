"""Verify many pairs of images, with each image fetched, decoded and prepared as rarely as memory allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import pyarrow as pa

from visdiv_assets.duplicates.verify import DEFAULT_PARAMS, Evidence, PreparedImage, VerifyParams, prepare, verify
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.progress import Progress, silent
from visdiv_assets.threads import ordered_map
from visdiv_assets.vectors.lru import LruCache

#: The verdict on a pair: `evidence` is one of `verify.KINDS`, `reason` one of `verify.REASONS` or empty, `transform`
#: holds the six numbers of the affine map from the second image to the first, or none.
VERDICT_FIELDS = (
    ("verified", pa.bool_()),
    ("evidence", pa.string()),
    ("reason", pa.string()),
    ("transform", pa.list_(pa.float32())),
    ("overlap", pa.float32()),
    ("agreement", pa.float32()),
)
VERDICT_SCHEMA = pa.schema(VERDICT_FIELDS)

#: Number of pairs whose images are fetched together.
PAIRS_AT_A_TIME = 256
#: Number of prepared images that are kept for further pairs, about 1 MB each at most.
IMAGES_KEPT = 512

#: A function that returns the encoded images of some image_ids, None for those that are no longer available.
Fetch = Callable[[Sequence[str]], Sequence[bytes | None]]


def compare_pairs(
    left: Sequence[str],
    right: Sequence[str],
    fetch_left: Fetch,
    fetch_right: Fetch,
    *,
    threads: int,
    limits: DecodeLimits,
    params: VerifyParams = DEFAULT_PARAMS,
    progress: Progress = silent,
) -> pa.Table:
    """Verify pairs of images.

    Args:
        left: image_ids; pairs of one image should be adjacent.
        right: image_ids of the other images, as many.
        fetch_left: fetches the images of the left ids.
        fetch_right: fetches the images of the right ids.
        threads: number of threads that decode and compare.
        limits: limits of an image; a larger one counts as unreadable.
        params: parameters of the verification.
        progress: called with the number of pairs finished.

    Returns:
        table of `VERDICT_SCHEMA`, in the order of the pairs.
    """
    import cv2

    # Each pair is verified in one thread; OpenCV's own threads would compete with these.
    cv2.setNumThreads(1)
    cache = _PreparedCache(threads, limits, params)
    found: list[Evidence] = []
    for start in range(0, len(left), PAIRS_AT_A_TIME):
        a, b = left[start : start + PAIRS_AT_A_TIME], right[start : start + PAIRS_AT_A_TIME]
        images = {**cache.get(a, fetch_left), **cache.get(b, fetch_right)}
        pairs = ((images[one], images[other]) for one, other in zip(a, b, strict=True))
        for evidence in ordered_map(lambda pair: verify(*pair, params), pairs, threads=threads, ahead=4):
            found.append(evidence)
            progress(1)
    return verdict_table(found)


def verdict_table(found: Sequence[Evidence]) -> pa.Table:
    """Return evidence as a table of `VERDICT_SCHEMA`."""
    columns = [
        [evidence.verified for evidence in found],
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


class _PreparedCache:
    """The images that were prepared last."""

    def __init__(self, threads: int, limits: DecodeLimits, params: VerifyParams) -> None:
        self._threads, self._limits, self._params = threads, limits, params
        self._images: LruCache[PreparedImage] = LruCache(IMAGES_KEPT)

    def get(self, image_ids: Sequence[str], fetch: Fetch) -> dict[str, PreparedImage]:
        """Return the prepared images of some ids; fetch and prepare those that are not cached."""
        wanted = dict.fromkeys(image_ids)
        cached = [image_id for image_id in wanted if image_id in self._images]
        missing = [image_id for image_id in wanted if image_id not in self._images]
        prepared = dict(zip(missing, ordered_map(self._prepare, fetch(missing), threads=self._threads), strict=True))
        # Take the cached images first: the new ones may push them out.
        return {name: self._images.get(name, partial(prepared.__getitem__, name)) for name in [*cached, *missing]}

    def _prepare(self, data: bytes | None) -> PreparedImage:
        return prepare(decode_image(data, limits=self._limits).pixels, self._params)
