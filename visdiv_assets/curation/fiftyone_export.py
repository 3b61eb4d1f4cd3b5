"""Write all readable images with what was found of them as a dataset of FiftyOne, a viewer of image data.

The folder is one that FiftyOne imports as `fiftyone.types.FiftyOneDataset`, without fields that only its database
knows (a `version` in `metadata.json`), so that every release reads it:

    data/<image_id>.<format>   each image once, as it is stored
    samples.json               a sample for each position: `filepath`, `tags`, and fields
    metadata.json              the media type and where the data are from; written last

Each sample has the tag `kept`, or the reasons for which its row is dropped, and `undecided` if neither verification nor
a person decided on a pair of its image.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.contamination.positions import DECIDED_LEAKS_SCHEMA, LEAK_IDS
from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.curation.export import SubsetDecision, refuse_inside
from visdiv_assets.curation.row_tags import witness_names
from visdiv_assets.duplicates.candidates import SIDES
from visdiv_assets.duplicates.decided_pairs import obey, read_decided
from visdiv_assets.duplicates.person_decisions import DECISIONS_SCHEMA
from visdiv_assets.errors import VisdivError
from visdiv_assets.imaging.identity import unchanged
from visdiv_assets.progress import Progress, silent
from visdiv_assets.sources import Kind, Source
from visdiv_assets.storage.error_messages import write_error
from visdiv_assets.storage.files import replace_local
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

KEPT, UNDECIDED = "kept", "undecided"

#: Bytes of images that are fetched together; a single image may be larger.
_FETCHED_BYTES = 32_000_000

_POSITION = ("row", "image_index", "file", "row_in_file", "path", "image_id", "format", "width", "height")
#: Fields of a sample from the list of dropped rows; of the image that the reason is about.
_FINDING = ("reason", "detail", "evidence", "confidence", "similarity")


@dataclass(frozen=True)
class FiftyOneResult:
    """The result of an export.

    Attributes:
        samples: number of positions written.
        images: number of different images.
        left_out: number of positions whose image cannot be read.
    """

    samples: int
    images: int
    left_out: int


def export_fiftyone(
    lake: Lake, source: Source, decided: Sequence[SubsetDecision], folder: Path, *, progress: Progress = silent
) -> FiftyOneResult:
    """Write the images of subsets as a dataset of FiftyOne.

    Args:
        lake: holds the lists of images, the pairs and the clusters.
        source: the source of the images; nothing is written to it.
        decided: which rows of each subset are kept.
        folder: new or empty; it appears complete with its file `metadata.json`.
        progress: called with the number of positions that were written or left out.

    Raises:
        VisdivError: the folder lies in the source or holds files, or cannot be written.
        ModelError: an image differs from the one that was listed.
        SourceError: the source cannot be read.
    """
    refuse_inside(source, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise VisdivError(f"{folder} is not empty: choose a new or empty folder")
        written = _Written()
        across = _undecided_images(lake, LakeTable.VERIFIED_CROSS_SUBSET, CORPUS_PARTITION)
        with replace_local(folder / "samples.json") as stream:
            stream.write(b'{"samples": [')
            for decision in decided:
                for sample in _samples(lake, source, decision, folder, written, across, progress):
                    separator = b",\n" if written.samples else b"\n"
                    stream.write(separator + json.dumps(sample, allow_nan=False).encode())
                    written.samples += 1
            stream.write(b"\n]}\n")
        info = {"source": source.uri, "subsets": [decision.subset for decision in decided]}
        with replace_local(folder / "metadata.json") as stream:
            stream.write(json.dumps({"media_type": "image", "info": info}).encode())
    except FileExistsError:
        raise VisdivError(f"{folder} is a file: choose a new or empty folder") from None
    except OSError as error:
        raise write_error(str(folder), error) from error
    return FiftyOneResult(written.samples, len(written.images), written.left_out)


def count_positions(lake: Lake, decided: Sequence[SubsetDecision]) -> int:
    """Return how many image positions an export writes or leaves out."""
    manifests = (lake.require(LakeTable.SUBSET_IMAGES, decision.subset) for decision in decided)
    return sum(int(manifest.facts["images"]) for manifest in manifests)


class _Written:
    """What has been written so far."""

    def __init__(self) -> None:
        self.samples = 0
        self.left_out = 0
        self.images: set[str] = set()


def _samples(
    lake: Lake,
    source: Source,
    decision: SubsetDecision,
    folder: Path,
    written: _Written,
    across: set[str],
    progress: Progress,
) -> Iterator[dict[str, Any]]:
    """Write the images of a subset that are not written yet, and yield the samples of its positions, in order.

    Args:
        lake: see `export_fiftyone`.
        source: see there.
        decision: which rows of the subset are kept.
        folder: of the dataset.
        written: is kept up to date.
        across: images with an undecided pair across subsets.
        progress: see `export_fiftyone`.
    """
    images = lake.require(LakeTable.SUBSET_IMAGES, decision.subset)
    findings = _findings(decision.dropped)
    undecided = (
        across
        | _undecided_images(lake, LakeTable.VERIFIED_DUPLICATES, decision.subset)
        | _undecided_images(lake, LakeTable.VERIFIED_CONTAMINATION, decision.subset)
    )
    groups = _groups(lake, decision.subset)
    for listed in _batches(lake, images):
        readable = listed.filter(pc.equal(listed["status"], "ok"))
        written.left_out += listed.num_rows - readable.num_rows
        records = readable.to_pylist()
        _write_images(source, decision.subset, folder, records, written)
        for record in records:
            found = findings.get(record["row"], {})
            tags = sorted(found.get("tags", [KEPT]))
            if record["image_id"] in undecided:
                tags.append(UNDECIDED)
            yield {
                "filepath": _path(record),
                "tags": tags,
                "subset": decision.subset,
                **{name: record[name] for name in _POSITION},
                "group_id": groups.get((record["row"], record["image_index"])),
                **{name: found.get(name) for name in (*_FINDING, "witness")},
            }
        progress(listed.num_rows)


def _batches(lake: Lake, images: Manifest) -> Iterator[pa.Table]:
    """Yield the positions of a subset in order, so many that their images have about `_FETCHED_BYTES`."""
    columns = [*_POSITION, "status", "size_bytes"]
    for batch in lake.dataset(images).to_batches(columns=columns) if images.files("rows") else []:
        sizes = pc.fill_null(batch["size_bytes"], 0).to_numpy(zero_copy_only=False)
        group = np.cumsum(sizes) // _FETCHED_BYTES
        bounds = [0, *(np.flatnonzero(np.diff(group)) + 1).tolist(), batch.num_rows]
        for start, stop in pairwise(bounds):
            yield pa.table(batch.slice(start, stop - start))


def _write_images(
    source: Source, subset: str, folder: Path, records: Sequence[Mapping[str, Any]], written: _Written
) -> None:
    """Write the images of positions that are not written yet, each once."""
    missing = {record["image_id"]: record for record in reversed(records) if record["image_id"] not in written.images}
    chosen = list(missing.values())
    fetched = source.fetch(Kind.SUBSET, subset, [(record["row"], record["image_index"]) for record in chosen])
    for record, data in zip(chosen, fetched, strict=True):
        image = unchanged(record["image_id"], data)
        with replace_local(folder / _path(record)) as stream:
            stream.write(image)
        written.images.add(record["image_id"])


def _path(record: Mapping[str, Any]) -> str:
    """Return the path of an image in the folder; formats are names of our own, such as jpeg."""
    return f"data/{record['image_id']}.{record['format']}"


def _findings(dropped: pa.Table) -> dict[int, dict[str, Any]]:
    """Return what is said of the dropped rows of a subset: the first finding of each row, and all reasons as tags."""
    found: dict[int, dict[str, Any]] = {}
    witnesses = witness_names(dropped).to_pylist()
    for record, witness in zip(dropped.to_pylist(), witnesses, strict=True):
        first = found.setdefault(record["row"], {name: record[name] for name in _FINDING} | {"tags": set()})
        first["tags"].add(record["reason"])
        first.setdefault("witness", witness)
    return found


def _undecided_images(lake: Lake, table: str, partition: str) -> set[str]:
    """Return the images of pairs on which neither verification nor a person decided; of leaks, those of the subset."""
    manifest = lake.manifest(table, partition)
    if manifest is None or not manifest.files("pairs"):
        return set()
    leaks = table == LakeTable.VERIFIED_CONTAMINATION
    ids, schema = (LEAK_IDS, DECIDED_LEAKS_SCHEMA) if leaks else (SIDES, DECISIONS_SCHEMA)
    where = pc.field("verified").is_null() & pc.field("evidence").is_valid()
    pairs = lake.read(manifest, "pairs", columns=[*ids, "verified", "evidence"], where=where)
    found = obey(pairs, read_decided(lake, manifest, schema), ids)
    undecided = found.filter(pc.is_null(found["verified"])).select(list(ids[:1] if leaks else ids))
    return {each for column in undecided.columns for each in column.to_pylist()}


def _groups(lake: Lake, subset: str) -> dict[tuple[int, int], str]:
    """Return the cluster of each position of a subset that has a copy."""
    clusters = lake.manifest(LakeTable.DUPLICATE_CLUSTERS, CORPUS_PARTITION)
    if clusters is None or not clusters.files("positions"):
        return {}
    columns = ["row", "image_index", "cluster_id"]
    found = lake.read(clusters, "positions", columns=columns, where=pc.field("subset") == subset)
    rows, indices, ids = (column.to_pylist() for column in found.columns)
    return dict(zip(zip(rows, indices, strict=True), ids, strict=True))
