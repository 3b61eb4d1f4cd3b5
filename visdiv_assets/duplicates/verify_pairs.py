"""Many pairs compared by their pixels: each image is fetched, decoded and prepared as seldom as memory allows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.duplicates.verify import Evidence, PreparedImage, prepare, verify
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.progress import Progress, silent
from visdiv_assets.threads import ordered_map

#: What the comparison says of a pair; `evidence` is one of `verify.KINDS`, `reason` one of `verify.REASONS` or empty,
#: `transform` the six numbers of the affine map from the second image to the first, or none.
VERDICT_FIELDS = (
    ("verified", pa.bool_()),
    ("evidence", pa.string()),
    ("reason", pa.string()),
    ("transform", pa.list_(pa.float32())),
    ("overlap", pa.float32()),
    ("agreement", pa.float32()),
)
VERDICT_SCHEMA = pa.schema(VERDICT_FIELDS)

#: Pairs whose images are fetched together.
PAIRS_AT_A_TIME = 256
#: PreparedImage images that are kept for further pairs, at most about 1 MB each.
IMAGES_KEPT = 512
#: Pairs of one unit of work: a minute or so on two cores.
PAIRS_OF_A_UNIT = 4096

#: Gives the encoded images of some image_ids, None for those that cannot be had any more.
Fetch = Callable[[Sequence[str]], Sequence[bytes | None]]


def compare_pairs(
    left: Sequence[str],
    right: Sequence[str],
    fetch_left: Fetch,
    fetch_right: Fetch,
    *,
    threads: int,
    limits: DecodeLimits,
    progress: Progress = silent,
) -> pa.Table:
    """Compare pairs of images.

    Args:
        left: image_ids; pairs of one image should stand together.
        right: as many.
        fetch_left: gives the images of the left ids.
        fetch_right: gives those of the right ids.
        threads: threads that decode and compare.
        limits: of images; a larger one counts as unreadable.
        progress: told of pairs done.

    Returns:
        table of `VERDICT_SCHEMA`, in the order of the pairs.
    """
    import cv2

    # Every pair is one thread's; OpenCV's own threads would fight with them.
    cv2.setNumThreads(1)
    kept = _Kept(threads, limits)
    found: list[Evidence] = []
    for start in range(0, len(left), PAIRS_AT_A_TIME):
        a, b = left[start : start + PAIRS_AT_A_TIME], right[start : start + PAIRS_AT_A_TIME]
        images = {**kept.prepared(a, fetch_left), **kept.prepared(b, fetch_right)}
        pairs = ((images[one], images[other]) for one, other in zip(a, b, strict=True))
        for evidence in ordered_map(lambda pair: verify(*pair), pairs, threads=threads, ahead=4):
            found.append(evidence)
            progress(1)
    return verdict_table(found)


def verdict_table(found: Sequence[Evidence]) -> pa.Table:
    """Evidence as a table of `VERDICT_SCHEMA`."""
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


class _Kept:
    """The images that were prepared last."""

    def __init__(self, threads: int, limits: DecodeLimits) -> None:
        self._threads, self._limits = threads, limits
        self._images: OrderedDict[str, PreparedImage] = OrderedDict()

    def prepared(self, image_ids: Sequence[str], fetch: Fetch) -> dict[str, PreparedImage]:
        """The images of some ids, each prepared once."""
        wanted = dict.fromkeys(image_ids)
        missing = [image_id for image_id in wanted if image_id not in self._images]
        images = {image_id: self._images[image_id] for image_id in wanted if image_id in self._images}
        images |= zip(missing, ordered_map(self._prepare, fetch(missing), threads=self._threads), strict=True)
        for image_id, image in images.items():
            self._images[image_id] = image
            self._images.move_to_end(image_id)
        while len(self._images) > IMAGES_KEPT:
            self._images.popitem(last=False)
        return images

    def _prepare(self, data: bytes | None) -> PreparedImage:
        return prepare(decode_image(data, limits=self._limits).pixels)


def split_into_units(left_ids: pa.ChunkedArray, pairs: int) -> Iterator[tuple[str, pa.Array]]:
    """Cut pairs into units of work by their left image, so that a new image changes few of them.

    Args:
        left_ids: image_ids [m], hexadecimal, sorted.
        pairs: of a unit, about.

    Yields:
        the name of each unit that is not empty, and the numbers of its pairs.
    """
    digits = 0
    while len(left_ids) > pairs * 16**digits:
        digits += 1
    prefixes = pc.utf8_slice_codeunits(left_ids, 0, digits).to_numpy().astype(str)
    for prefix in np.unique(prefixes):
        yield f"pairs {prefix}".rstrip(), pa.array(np.flatnonzero(prefixes == prefix))
