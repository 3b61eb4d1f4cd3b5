"""What the text of an image says: how much there is, whether it is a placeholder, and whether answers repeat it.

The co-occurrence of an answer and the text of its image is the CoTR of Lin et al., "Parrot Captions Teach CLIP to Spot
Text" (ECCV 2024, arXiv 2312.14232): the share of the distinct words of the answer that stand in the image, where words
are equal after Unicode NFKC and in lower case.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.texts.ngrams import split_words
from visdiv_assets.texts.ocr.interface import ReadText
from visdiv_assets.texts.ocr.placeholders import is_placeholder
from visdiv_assets.texts.personal_data import find_personal_data

#: What was made of an image.
READ, FAILED = "read", "failed"

#: Characters of a text that are shown.
EXCERPT = 300

#: Share of the words of an answer from which on it counts as half repeated from the image.
HALF = 0.5

#: One row per box, in reading order; the corners as in `ReadText`.
BOXES_SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        *((f"{axis}{corner}", pa.float32()) for corner in range(4) for axis in "xy"),
        ("text", pa.string()),
        ("confidence", pa.float32()),
    ]
)
#: One row per image that was given to the reader.
READ_SCHEMA = pa.schema(
    [
        ("image_id", pa.string()),
        ("status", pa.string()),
        ("boxes", pa.int32()),
        ("characters", pa.int32()),
        ("words", pa.int32()),
        ("text_area", pa.float32()),
        ("confidence", pa.float32()),
        ("excerpt", pa.string()),
        ("placeholder", pa.bool_()),
    ]
)
#: The same, with the image's first position and the answers of its row.
IMAGES_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("image_index", pa.int32()),
        *READ_SCHEMA,
        ("answers", pa.int32()),
        ("answers_half_in_image", pa.int32()),
        ("answers_in_image", pa.int32()),
        ("answer_words", pa.int64()),
        ("answer_words_in_image", pa.int64()),
    ]
)


#: Of images whose rows have no answers, as those of benchmarks.
READ_IMAGES_SCHEMA = pa.schema([("row", pa.int64()), ("image_index", pa.int32()), *READ_SCHEMA])
#: Personal data in the text of an image, without the values.
PERSONAL_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("image_index", pa.int32()),
        ("image_id", pa.string()),
        ("kind", pa.string()),
        ("count", pa.int32()),
    ]
)


class Repeated(NamedTuple):
    """How much of some answers stands in an image.

    Attributes:
        answers: answers with at least one word.
        answers_half_in_image: those of which at least half of the distinct words stand in the image.
        answers_in_image: those of which all words do.
        answer_words: sum of the distinct words of the answers.
        answer_words_in_image: those that stand in the image.
    """

    answers: int
    answers_half_in_image: int
    answers_in_image: int
    answer_words: int
    answer_words_in_image: int


#: What of `Repeated` depends on the text of the image.
IN_IMAGE = ("answers_half_in_image", "answers_in_image", "answer_words_in_image")


def repeated_answers(image_words: Iterable[str], answers: Iterable[str | None]) -> Repeated:
    """Count the words of answers that stand in an image; see the module for what counts."""
    in_image = set(image_words)
    distinct = [words for answer in answers if (words := set(split_words(answer or "")))]
    found = [len(words & in_image) for words in distinct]
    pairs = list(zip(distinct, found, strict=True))
    return Repeated(
        answers=len(distinct),
        answers_half_in_image=sum(count >= HALF * len(words) for words, count in pairs),
        answers_in_image=sum(count == len(words) for words, count in pairs),
        answer_words=sum(map(len, distinct)),
        answer_words_in_image=sum(found),
    )


def describe_text(image_id: str, text: ReadText) -> dict[str, Any]:
    """Return the row of `READ_SCHEMA` of an image that was read."""
    words = [word for line in text.texts for word in split_words(line)]
    return {
        "image_id": image_id,
        "status": READ,
        "boxes": len(text.texts),
        "characters": sum(map(len, text.texts)),
        "words": len(words),
        "text_area": covered_area(text.boxes),
        "confidence": float(text.confidences.mean()) if len(text.confidences) else None,
        "excerpt": "\n".join(text.texts)[:EXCERPT],
        "placeholder": is_placeholder(words),
    }


def describe_failure(image_id: str) -> dict[str, Any]:
    """Return the row of `READ_SCHEMA` of an image on which the reader failed."""
    return {"image_id": image_id, "status": FAILED}


def box_rows(image_id: str, text: ReadText) -> pa.Table:
    """Return the boxes of an image as rows of `BOXES_SCHEMA`."""
    corners = [pa.array(text.boxes[:, corner, axis]) for corner in range(4) for axis in range(2)]
    columns = [pa.array([image_id] * len(text.texts), pa.string()), *corners, pa.array(text.texts, pa.string())]
    return pa.table([*columns, pa.array(text.confidences)], schema=BOXES_SCHEMA)


def covered_area(boxes: np.ndarray) -> float:
    """Return the share of an image that boxes cover, each point counted once.

    Args:
        boxes: [n, 4, 2], corners in units of the image's width and height.
    """
    if not len(boxes):
        return 0.0
    import shapely

    # A detected box may be so thin that its corners cross.
    shapes = shapely.convex_hull(shapely.polygons(boxes.astype(np.float64)))
    return min(float(shapely.union_all(shapes).area), 1.0)


def with_answers(
    positions: pa.Table, read: pa.Table, boxes: pa.Table, answers: Mapping[int, Sequence[str | None]]
) -> pa.Table:
    """Add the position of each image and what the answers of its row repeat: rows of `IMAGES_SCHEMA`.

    Args:
        positions: row, image_index and image_id of the images.
        read: rows of `READ_SCHEMA`, in the same order.
        boxes: their boxes.
        answers: the answers by row; a row may have none.
    """
    words: dict[str, list[str]] = {}
    for image_id, text in zip(boxes["image_id"].to_pylist(), boxes["text"].to_pylist(), strict=True):
        words.setdefault(image_id, []).extend(split_words(text))
    ids, rows = positions["image_id"].to_pylist(), positions["row"].to_pylist()
    counted = [
        repeated_answers(words.get(image_id, ()), answers.get(row, ())) for image_id, row in zip(ids, rows, strict=True)
    ]
    columns = {name: pa.array([getattr(each, name) for each in counted], pa.int64()) for name in Repeated._fields}
    was_read = pc.equal(read["status"], READ)
    # What an image that could not be read repeats is unknown.
    columns |= {name: pc.if_else(was_read, columns[name], None) for name in IN_IMAGE}
    columns |= {name: read[name] for name in READ_SCHEMA.names}
    columns |= {"row": positions["row"], "image_index": positions["image_index"]}
    return pa.table([columns[field.name].cast(field.type) for field in IMAGES_SCHEMA], schema=IMAGES_SCHEMA)


def with_positions(positions: pa.Table, read: pa.Table) -> pa.Table:
    """Add the position of each image: rows of `READ_IMAGES_SCHEMA`.

    Args:
        positions: row and image_index of the images.
        read: rows of `READ_SCHEMA`, in the same order.
    """
    columns = [positions["row"], positions["image_index"], *(read[name] for name in READ_SCHEMA.names)]
    return pa.table(columns, schema=READ_IMAGES_SCHEMA)


def texts_of_images(image_ids: Sequence[str], boxes: pa.Table) -> pa.Array:
    """Return the text of each image, one line per box; empty without text: strings [n].

    Args:
        image_ids: the images.
        boxes: rows of `BOXES_SCHEMA`, of which only image_id and text are used.
    """
    lines: dict[str, list[str]] = {}
    for image_id, text in zip(boxes["image_id"].to_pylist(), boxes["text"].to_pylist(), strict=True):
        lines.setdefault(image_id, []).append(text or "")
    return pa.array(["\n".join(lines.get(image_id, ())) for image_id in image_ids], pa.string())


def texts_by_image(boxes: pa.Table) -> dict[str, ReadText]:
    """Return what was read in each image that has boxes, in the order of the images.

    Args:
        boxes: rows of `BOXES_SCHEMA`; those of an image follow one another.
    """
    names = [name for name in BOXES_SCHEMA.names if name[0] in "xy"]
    corners = np.column_stack([boxes[name].to_numpy() for name in names]).reshape(-1, 4, 2)
    texts, confidences = boxes["text"].to_pylist(), boxes["confidence"].to_numpy()
    ids = boxes["image_id"].to_numpy()
    starts = np.flatnonzero(np.r_[len(ids) > 0, ids[1:] != ids[:-1]]).tolist()
    return {
        ids[start]: ReadText(corners[start:stop], texts[start:stop], confidences[start:stop])
        for start, stop in zip(starts, [*starts[1:], len(ids)], strict=False)
    }


def personal_data(positions: pa.Table, boxes: pa.Table) -> pa.Table:
    """Count personal data in the text of each image: rows of `PERSONAL_SCHEMA`.

    Args:
        positions: row, image_index and image_id of the images.
        boxes: the boxes that were read in them.
    """
    found = find_personal_data(texts_of_images(positions["image_id"].to_pylist(), boxes))
    of_image = positions.select(["row", "image_index", "image_id"]).take(found["text"])
    return pa.table([*of_image.columns, found["kind"], found["count"]], schema=PERSONAL_SCHEMA)
