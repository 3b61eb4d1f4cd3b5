"""Reading of text in images as units of work for any engine: a unit is some images, fetched from the source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa

from visdiv_assets.corpus.image_fetch import ImageFetcher
from visdiv_assets.corpus.turns import ShardTurns
from visdiv_assets.errors import ModelError
from visdiv_assets.imaging.decode import decode_image
from visdiv_assets.imaging.identity import unchanged
from visdiv_assets.imaging.limits import DecodeLimits
from visdiv_assets.orchestration.engines import PerProcess, Worker
from visdiv_assets.progress import Progress
from visdiv_assets.sources import Kind, Source
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.texts.ocr import findings
from visdiv_assets.texts.ocr.interface import TextReader

#: Result of a unit: rows of `READ_SCHEMA` and `BOXES_SCHEMA`.
ReadUnit = tuple[pa.Table, pa.Table]


@dataclass(frozen=True)
class ReadImages:
    """Reads the text of images of a subset or benchmark; a unit is their image_ids.

    Attributes:
        lake: where the images are listed.
        source: where the images are.
        kind: whether they are of a subset or of a benchmark.
        images: manifest of the list of images.
        load: loads the reader for a number of threads.
        limits: of images.
    """

    holds_model: ClassVar[bool] = True
    uses_device: ClassVar[bool] = False

    lake: PerProcess[Lake]
    source: PerProcess[Source]
    kind: Kind
    images: Manifest
    load: Callable[[int], TextReader]
    limits: DecodeLimits

    def open(self, worker: Worker) -> Callable[[tuple[str, ...], Progress], ReadUnit]:
        """Load the reader, and the positions of the images."""
        reader = self.load(worker.threads)
        fetcher = ImageFetcher(self.lake.get(), self.source.get(), [(self.kind, self.images)])

        def read(unit: tuple[str, ...], progress: Progress) -> ReadUnit:
            fetch = fetcher.in_order(unit)
            rows, boxes = [], [findings.BOXES_SCHEMA.empty_table()]
            for each in unit:
                (data,) = fetch([each])
                row, of_image = _read_image(reader, each, data, self.limits)
                rows.append(row)
                boxes.append(of_image)
                progress(1)
            return pa.Table.from_pylist(rows, findings.READ_SCHEMA), pa.concat_tables(boxes)

        return read

    def size(self, unit: tuple[str, ...]) -> int:
        """Return the number of images."""
        return len(unit)


def _read_image(
    reader: TextReader, listed: str, data: bytes | None, limits: DecodeLimits
) -> tuple[dict[str, object], pa.Table]:
    decoded = decode_image(unchanged(listed, data), limits=limits).pixels
    try:
        # There are no pixels if the limits are smaller than when it was listed.
        text = None if decoded is None else reader.read(np.asarray(decoded))
    except ModelError:
        text = None
    if text is None:
        return findings.describe_failure(listed), findings.BOXES_SCHEMA.empty_table()
    return findings.describe_text(listed, text), findings.box_rows(listed, text)


def found_batches(
    lake: Lake, draft: Manifest, positions: pa.Table, turns: list[ShardTurns]
) -> Iterator[pa.RecordBatch]:
    """Yield the images that units have read, with their positions and answers: rows of `IMAGES_SCHEMA`.

    Args:
        lake: where they lie.
        draft: manifest of the units, in the order of the positions.
        positions: row, image_index and image_id of the images.
        turns: the turns of every shard of the subset.
    """
    start = 0
    for unit in draft.units:
        of_unit = replace(draft, units=(unit,))
        read, boxes = lake.read(of_unit, "read"), lake.read(of_unit, "boxes")
        part = positions.slice(start, read.num_rows)
        answers = _answers(turns, np.unique(part["row"].to_numpy()))
        yield from findings.with_answers(part, read, boxes, answers).to_batches()
        start += read.num_rows


def _answers(turns: list[ShardTurns], rows: np.ndarray) -> dict[int, list[str | None]]:
    """Return the answers of some rows, int64 [n] ascending, by row."""
    found: dict[int, list[str | None]] = {}
    for shard in turns:
        start, stop = np.searchsorted(rows, [shard.first_row, shard.first_row + shard.rows])
        if start < stop:
            for row, _, answer in shard.turns_of(rows[start:stop]):
                found.setdefault(row, []).append(answer)
    return found
