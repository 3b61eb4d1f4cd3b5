"""The partners of a corpus as tables, from which a later run continues."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.duplicates.corpus_findings import id_strings
from visdiv_assets.duplicates.corpus_lists import lowest_keys
from visdiv_assets.duplicates.corpus_partners import CorpusPartners, EarlierPartners, StoredList

#: `subsets` are indices into the names in the manifest.
IMAGES_SCHEMA = pa.schema([("image_id", pa.string()), ("subsets", pa.list_(pa.int32()))])
#: `list` is an index into `CorpusRule.lists`, `image` a row of the table of images, `key` see `corpus_lists`.
LISTS_SCHEMA = pa.schema([("list", pa.int8()), ("image", pa.int64()), ("key", pa.uint64())])
#: The images of an image's other subsets reach `level` of the thresholds.
SHARED_SCHEMA = pa.schema([("image", pa.int64()), ("subset", pa.int32()), ("level", pa.int8())])

#: Number of lists of an image.
LISTS = 3
#: Approximate number of images of which the partners are stored together.
IMAGES_OF_A_PART = 1 << 20


#: The tables of a part, by role. `limits` holds the images whose lists are short and still complete only from a key on.
PART_SCHEMAS = {
    "images": IMAGES_SCHEMA,
    "partners": LISTS_SCHEMA,
    "limits": LISTS_SCHEMA,
    "shared": SHARED_SCHEMA,
}


def split_into_parts(images: int) -> list[tuple[int, int]]:
    """Return the first image of each part and the image after its last; one part at least."""
    parts = max(-(-images // IMAGES_OF_A_PART), 1)
    edges = [images * part // parts for part in range(parts + 1)]
    return list(pairwise(edges))


def stored_part(partners: CorpusPartners, start: int, stop: int) -> dict[str, pa.Table]:
    """Return the partners of the images in [start, stop): the tables of `PART_SCHEMAS`, sorted."""
    images = partners.images
    first, last = images.member_starts[[start, stop]]
    subsets = pa.ListArray.from_arrays(
        pa.array(images.member_starts[start : stop + 1] - first, pa.int32()), pa.array(images.members[first:last])
    )
    lists, limits = [], []
    for index, (name, (floor, _)) in enumerate(partners.rule.lists.items()):
        of_list = partners.lists[name]
        image, key = of_list.entries(start, stop)
        lists.append(_list_table(index, image, key))
        limit = of_list.limit[start:stop]
        short = np.flatnonzero((limit > lowest_keys(floor.reshape(1))) & (of_list.keys[start:stop, 0] == 0))
        limits.append(_list_table(index, short + start, limit[short]))
    image, subset, level = partners.shared.entries()
    begin, end = np.searchsorted(image, [start, stop])
    columns = [image[begin:end], subset[begin:end].astype(np.int32), level[begin:end].astype(np.int8)]
    return {
        "images": pa.table([id_strings(images, np.arange(start, stop)), subsets], schema=IMAGES_SCHEMA),
        "partners": pa.concat_tables(lists),
        "limits": pa.concat_tables(limits),
        "shared": pa.table(columns, schema=SHARED_SCHEMA),
    }


def earlier_partners(
    parts: Sequence[Callable[[str], pa.Table]], subsets: Sequence[str], unchanged: Iterable[str]
) -> EarlierPartners:
    """Return what a later corpus takes over.

    Args:
        parts: for each stored part, a function that returns the table of a role.
        subsets: names of the subsets of the earlier corpus.
        unchanged: names of those that are still the same.
    """
    ids, owners, members, shared = [np.empty(0, "S32")], [], [], [np.empty((0, 3), np.int64)]
    first = 0
    for read in parts:
        images = read("images")
        ids.append(images["image_id"].to_numpy().astype("S32"))
        held = images["subsets"].combine_chunks()
        owners.append(np.repeat(np.arange(len(held)) + first, pc.list_value_length(held).to_numpy()))
        members.append(held.flatten().to_numpy())
        shared.append(np.stack([column.to_numpy().astype(np.int64) for column in read("shared").columns], axis=1))
        first += len(held)

    def lists() -> Iterator[list[StoredList]]:
        for read in parts:
            listed, limits = (_split_lists(read(role)) for role in ("partners", "limits"))
            yield [StoredList(*of_list, *limit) for of_list, limit in zip(listed, limits, strict=True)]

    return EarlierPartners(
        np.concatenate(ids),
        tuple(subsets),
        np.concatenate([np.empty(0, np.int64), *owners]),
        np.concatenate([np.empty(0, np.int64), *members]),
        lists,
        np.concatenate(shared),
        frozenset(unchanged),
    )


def _list_table(index: int, image: np.ndarray, key: np.ndarray) -> pa.Table:
    return pa.table([np.full(len(image), index, np.int8), image, key], schema=LISTS_SCHEMA)


def _split_lists(table: pa.Table) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return images and keys of each list."""
    edges = np.searchsorted(table["list"].to_numpy(), np.arange(LISTS + 1)).tolist()
    image, key = table["image"].to_numpy(), table["key"].to_numpy()
    return [(image[begin:end], key[begin:end]) for begin, end in pairwise(edges)]
