"""Time and memory of each selection method over memory-mapped files of vectors and texts."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from visdiv_assets.extras import is_installed
from visdiv_assets.perf.measuring import Figure, measure_methods
from visdiv_assets.progress import Progress, silent

DIMENSION = 512
ROWS_AT_A_TIME = 16_384
#: Mean number of rows in a group of similar vectors.
GROUP_ROWS = 50
#: Number of words in the vocabulary and in a text.
VOCABULARY = 50_000
WORDS = 40
#: Number of texts of the benchmark. One row in `PLANTED` contains one of them.
BENCHMARK_TEXTS = 20_000
PLANTED = 100
#: Number of rows that the methods for diverse subsets select.
PICKS = 1000

Work = Callable[[], Any]


def measure(rows: int = 200_000, progress: Progress = silent) -> list[Figure]:
    """Run every method once, each in a separate process.

    Args:
        rows: number of rows, each with an image vector and a text vector of 512 dimensions and a text; a million takes
            2.3 GB of temporary files.
        progress: called after every run.
    """
    with tempfile.TemporaryDirectory(prefix="visdiv-perf-") as folder:
        write_vectors(Path(folder), rows)
        write_texts(Path(folder), rows)
        return measure_methods(METHODS, Path(folder), rows, progress)


def write_vectors(folder: Path, rows: int, seed: int = 0) -> None:
    """Write `images.npy` and `texts.npy`, grouped unit vectors float16 [rows, 512], and `norms.npy`.

    The text vector of a row is similar to its image vector.
    """
    random = np.random.default_rng(seed)
    centers = random.standard_normal((max(1, rows // GROUP_ROWS), DIMENSION), dtype=np.float32)
    names = ("images.npy", "texts.npy")
    images, texts = (np.lib.format.open_memmap(folder / name, "w+", np.float16, (rows, DIMENSION)) for name in names)
    for start in range(0, rows, ROWS_AT_A_TIME):
        count = min(ROWS_AT_A_TIME, rows - start)
        x = centers[random.integers(len(centers), size=count)]
        # Similarities to the center range from nearly 1 to almost none.
        spread = random.uniform(0.05, 1.5, (count, 1)).astype(np.float32)
        x = x + spread * random.standard_normal((count, DIMENSION), dtype=np.float32)
        y = x + 2 * random.standard_normal((count, DIMENSION), dtype=np.float32)
        for out, block in ((images, x), (texts, y)):
            out[start : start + count] = block / np.linalg.norm(block, axis=1, keepdims=True)
    np.save(folder / "norms.npy", random.normal(10, 0.5, rows).astype(np.float32))


def write_texts(folder: Path, rows: int, seed: int = 0) -> None:
    """Write `texts.arrow` and `benchmark.arrow`, words drawn by Zipf's law; some texts contain benchmark texts."""
    random = np.random.default_rng(seed)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = np.array(["".join(letters[word // 26**power % 26] for power in range(4)) for word in range(VOCABULARY)])
    cumulated = np.cumsum(1 / np.arange(1, VOCABULARY + 1))

    def draw(count: int) -> list[str]:
        chosen = np.searchsorted(cumulated, random.random((count, WORDS)) * cumulated[-1])
        return [" ".join(text) for text in words[chosen].tolist()]

    def batches() -> Iterator[list[str]]:
        for start in range(0, rows, ROWS_AT_A_TIME):
            batch = draw(min(ROWS_AT_A_TIME, rows - start))
            for row in range(0, len(batch), PLANTED):
                batch[row] += " " + benchmark[int(random.integers(len(benchmark)))]
            yield batch

    benchmark = draw(min(BENCHMARK_TEXTS, max(rows, 1)))
    for name, parts in (("benchmark.arrow", iter([benchmark])), ("texts.arrow", batches())):
        schema = pa.schema([("text", pa.string())])
        with pa.OSFile(str(folder / name), "wb") as file, pa.ipc.new_file(file, schema) as writer:
            for part in parts:
                writer.write_batch(pa.record_batch([pa.array(part)], schema=schema))


def open_texts(path: Path) -> pa.ChunkedArray:
    """Return the texts of a file of `write_texts`, memory-mapped."""
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()["text"]


def _vectors(folder: Path, name: str) -> np.ndarray:
    # Import torch before the measurement, since each process pays for it once.
    if is_installed("torch"):
        import torch

        torch.zeros(1)
    vectors: np.ndarray = np.load(folder / f"{name}.npy", mmap_mode="r")
    return vectors


def _semdedup(folder: Path) -> Work:
    import faiss  # noqa: F401

    from visdiv_assets.curation.selection.semdedup import semdedup

    images = _vectors(folder, "images")

    def work() -> str:
        found = semdedup(images)
        return f"{found.cluster.max(initial=0) + 1:,} clusters, {1 - found.kept(0.1).mean():.0%} above 0.9"

    return work


def _conformity(folder: Path) -> Work:
    from visdiv_assets.curation.selection.conformity import conformity

    images = _vectors(folder, "images")
    return lambda: f"mean {conformity(images).mean():.4f}"


def _whitened(folder: Path) -> Work:
    from visdiv_assets.curation.selection.whitened_clip import RawFeatures, Whitening, log_likelihood, raw_moments

    features = RawFeatures(_vectors(folder, "images"), np.load(folder / "norms.npy"))
    return lambda: f"mean {log_likelihood(features, Whitening.of(raw_moments(features))).mean():.1f}"


def _cross_covariance(folder: Path) -> Work:
    from visdiv_assets.curation.selection.cross_covariance import CrossCovariance

    images, texts = _vectors(folder, "images"), _vectors(folder, "texts")
    return lambda: f"mean cosine of pairs {np.trace(CrossCovariance.of(images, texts).mean):.3f}"


def _clip_cov(folder: Path) -> Work:
    import faiss  # noqa: F401

    from visdiv_assets.curation.selection.clip_cov import clip_cov

    images, texts = _vectors(folder, "images"), _vectors(folder, "texts")
    return lambda: f"{len(clip_cov(images, texts, len(images) // 10)):,} selected"


def _diverse(folder: Path, method: Any) -> Work:
    from visdiv_assets.curation.selection.diverse import select_diverse_samples

    images = _vectors(folder, "images")
    return lambda: f"{len(select_diverse_samples(images, PICKS, method)):,} selected"


def _k_center(folder: Path) -> Work:
    return _diverse(folder, "k_center")


def _k_means_plus_plus(folder: Path) -> Work:
    return _diverse(folder, "k_means_plus_plus")


def _wfpp(folder: Path) -> Work:
    from visdiv_assets.curation.selection.wfpp import count_words, wfpp

    texts = open_texts(folder / "texts.arrow")
    return lambda: f"mean {wfpp(texts, count_words(texts)).mean():.4f}"


def _metaclip(folder: Path) -> Work:
    from visdiv_assets.curation.selection.metaclip import EntryMatcher, corpus_entries, threshold_of_tail

    texts = open_texts(folder / "texts.arrow")

    def work() -> str:
        matcher = EntryMatcher(corpus_entries(texts))
        counts = matcher.counts(texts)
        kept = matcher.keep_probabilities(texts, counts, threshold_of_tail(counts, 0.1)).sum()
        return f"{len(matcher.entries):,} entries, {kept:,.0f} texts kept"

    return work


def _text_overlap(folder: Path) -> Work:
    from visdiv_assets.texts.overlap import BenchmarkTexts, find_text_overlaps

    texts = open_texts(folder / "texts.arrow")
    benchmark = BenchmarkTexts.of("benchmark", open_texts(folder / "benchmark.arrow"))

    def work() -> str:
        found = find_text_overlaps(texts, [benchmark])
        return f"{len(found['text'].unique()):,} texts hold some of {len(benchmark.ngrams[13]):,} 13-grams"

    return work


#: The methods by name; `visdiv perf --only join` measures the cost of pooled pairs.
METHODS: dict[str, Callable[[Path], Work]] = {
    "SemDeDup": _semdedup,
    "conformity": _conformity,
    "whitened CLIP": _whitened,
    "cross-covariance": _cross_covariance,
    "ClipCov, a tenth": _clip_cov,
    f"k-center greedy, {PICKS:,}": _k_center,
    f"k-means++, {PICKS:,}": _k_means_plus_plus,
    "WFPP": _wfpp,
    "MetaCLIP": _metaclip,
    "text overlap": _text_overlap,
}
