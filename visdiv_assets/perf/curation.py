"""Time and memory of methods of curation that count or weigh rows, at a million rows."""

from __future__ import annotations

import pickle
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from visdiv_assets.imaging.thumbnails import SIDE, encode_thumbnail
from visdiv_assets.perf.measuring import Figure, measure_methods
from visdiv_assets.perf.selection import open_texts, write_texts
from visdiv_assets.progress import Progress, silent
from visdiv_assets.threads import ordered_map, thread_count

#: Attributes and labels of a row, and the shares of rows that have one.
ATTRIBUTES, LABELS, SHARES = 4, 8, (0.05, 0.6)
#: Rows that are drawn at a time.
ROWS_AT_A_TIME = 65_536
#: Length of CLIP vectors, different thumbnails, the part of the rows whose thumbnails are measured, and listed words.
DIMENSION, THUMBNAILS, MEASURED_PART, LISTED = 512, 50, 100, 400

Work = Callable[[], Any]


def measure(rows: int = 1_000_000, progress: Progress = silent) -> list[Figure]:
    """Run every method once, each in a separate process.

    Args:
        rows: number of rows, each with a text of 40 words and some attributes.
        progress: called after every run.
    """
    with tempfile.TemporaryDirectory(prefix="visdiv-perf-") as folder:
        write_texts(Path(folder), rows)
        write_attributes(Path(folder), rows)
        write_images(Path(folder), rows)
        return measure_methods(METHODS, Path(folder), rows, progress)


def write_attributes(folder: Path, rows: int, seed: int = 0) -> None:
    """Write `flags.npy`, bool [rows, attributes and labels]; labels are more frequent beside the first attribute."""
    random = np.random.default_rng(seed)
    columns = ATTRIBUTES + LABELS
    flags = np.lib.format.open_memmap(folder / "flags.npy", "w+", bool, (rows, columns))
    shares = random.uniform(*SHARES, columns)
    for start in range(0, rows, ROWS_AT_A_TIME):
        drawn = random.random((min(ROWS_AT_A_TIME, rows - start), columns))
        flags[start : start + len(drawn)] = drawn < shares
        beside = (drawn[:, :1] < shares[0]) & (drawn[:, ATTRIBUTES:] < shares[ATTRIBUTES:] + 0.1)
        flags[start : start + len(drawn), ATTRIBUTES:] |= beside


def write_images(folder: Path, rows: int, seed: int = 0) -> None:
    """Write `clip.npy`, float16 unit vectors [rows, 512], and `thumbnails.pickle`, some WebP of noise and bars."""
    random = np.random.default_rng(seed)
    vectors = np.lib.format.open_memmap(folder / "clip.npy", "w+", np.float16, (rows, DIMENSION))
    for start in range(0, rows, ROWS_AT_A_TIME):
        drawn = random.standard_normal((min(ROWS_AT_A_TIME, rows - start), DIMENSION), np.float32)
        vectors[start : start + len(drawn)] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    from PIL.Image import fromarray

    made = []
    for number in range(THUMBNAILS):
        pixels = np.full((SIDE * 3 // 4, SIDE, 3), 255, np.uint8)
        pixels[: (number + 1) * len(pixels) // THUMBNAILS] = random.integers(0, 256, 3)
        noise = pixels[:, SIDE // 2 :]
        noise += random.integers(0, 64, noise.shape, np.uint8)
        made.append(encode_thumbnail(fromarray(pixels), SIDE))
    (folder / "thumbnails.pickle").write_bytes(pickle.dumps(made))


def _balance(folder: Path) -> Work:
    from visdiv_assets.curation.selection.attribute_balance import balance_attributes

    flags = np.load(folder / "flags.npy", mmap_mode="r")

    def work() -> str:
        found = balance_attributes(flags[:, :ATTRIBUTES], flags[:, ATTRIBUTES:])
        before = np.abs(found.bias["before"].to_numpy()).max()
        return f"largest bias {before:.4f} before, {found.worst:.1e} after"

    return work


def _concepts(folder: Path) -> Work:
    from visdiv_assets.curation.selection.concept_frequencies import concept_frequencies
    from visdiv_assets.curation.selection.metaclip import EntryMatcher, corpus_entries

    texts = open_texts(folder / "texts.arrow")
    matcher = EntryMatcher(corpus_entries(texts))

    def work() -> str:
        found = concept_frequencies(matcher, {"all": texts})
        (subset,) = found.subsets.to_pylist()
        return f"{subset['matches']:,} matches of {len(matcher.entries):,} concepts"

    return work


def _masked(folder: Path) -> Work:
    from visdiv_assets.curation.selection.number_masked import mask_numbers

    texts = open_texts(folder / "texts.arrow")

    def work() -> str:
        masked = 0
        for batch in texts.chunks:
            numbered = pa.compute.binary_join_element_wise(batch, "sold 1,250.5", " ")
            masked += len(mask_numbers(numbered))
        return f"{masked:,} texts with a number"

    return work


def _type_features(folder: Path) -> Work:
    from visdiv_assets.curation.image_types.by_features import MEASURES, feature_matrix, feature_weights
    from visdiv_assets.imaging.type_features import FEATURES, type_features

    stored: list[bytes] = pickle.loads((folder / "thumbnails.pickle").read_bytes())
    rows = len(np.load(folder / "clip.npy", mmap_mode="r"))
    threads = thread_count(0)

    def work() -> str:
        count = max(1, rows // MEASURED_PART)
        begin = time.perf_counter()
        images = (stored[index % len(stored)] for index in range(count))
        measured = np.stack(list(ordered_map(type_features, images, threads=threads)))
        rate = count / (time.perf_counter() - begin)
        named = 0
        for start in range(0, rows, ROWS_AT_A_TIME):
            part = np.resize(measured, (min(ROWS_AT_A_TIME, rows - start), len(FEATURES)))
            measures = pa.table({name: np.full(len(part), 5.0) for name in MEASURES})
            types, _ = feature_weights().classify(feature_matrix(part, measures))
            named += len(types) - types.null_count
        return f"{count:,} thumbnails measured, {rate:,.0f} per second; all rows weighed, {named:,} have a type"

    return work


def _zero_shot(folder: Path) -> Work:
    from visdiv_assets.curation.image_types.zero_shot import PromptVectors, zero_shot_scores

    vectors = np.load(folder / "clip.npy", mmap_mode="r")
    random = np.random.default_rng(1)

    def embed(prompts: Sequence[str]) -> np.ndarray:
        drawn = random.standard_normal((len(prompts), DIMENSION))
        unit: np.ndarray = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
        return unit

    def work() -> str:
        prompts = PromptVectors.embed(embed)
        blocks = (vectors[start : start + ROWS_AT_A_TIME] for start in range(0, len(vectors), ROWS_AT_A_TIME))
        scored = sum(batch.num_rows for batch in zero_shot_scores(blocks, prompts))
        return f"{scored:,} images scored"

    return work


def _listed_words(folder: Path) -> Work:
    from visdiv_assets.curation.listed_words import WordFinder, WordList

    texts = open_texts(folder / "texts.arrow")
    frequent = sorted({word for text in texts.slice(0, 500).to_pylist() for word in text.split()})
    finder = WordFinder(WordList.of("drawn", frequent[:LISTED]))

    def work() -> str:
        found = sum(len(finder.find(batch)[0]) for batch in texts.chunks)
        return f"{found:,} words found"

    return work


METHODS: dict[str, Callable[[Path], Work]] = {
    "M4 balancing": _balance,
    "concept frequencies": _concepts,
    "masking of numbers": _masked,
    "types by features": _type_features,
    "types and content by CLIP": _zero_shot,
    "listed words": _listed_words,
}
