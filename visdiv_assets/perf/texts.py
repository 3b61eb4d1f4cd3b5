"""Time and memory of the search for duplicate texts, its recall against brute force, and MinHash against libraries."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable
from visdiv_assets.corpus.turns import stored_turns
from visdiv_assets.duplicates.text_corpus import open_texts
from visdiv_assets.extras import is_installed
from visdiv_assets.ingest.turns import TURNS_SCHEMA
from visdiv_assets.perf.measuring import Figure, measure_in_subprocess
from visdiv_assets.progress import Progress, silent
from visdiv_assets.statistics import ALL
from visdiv_assets.storage.lake import Lake
from visdiv_assets.texts.near import bucket_pairs, jaccard
from visdiv_assets.texts.signatures import BUCKET_HASHES, BUCKETS, Signatures, bucket_hashes, sign_turns

SUBSETS = ("one", "two", "three", "four")
SHARD_ROWS = 50_000
#: Words in the vocabulary, in a question and in an answer.
VOCABULARY, QUESTION_WORDS, ANSWER_WORDS = 50_000, 10, 40
#: One row in `PLANTED` has the texts of an earlier row, and one its answer and a further word.
PLANTED = 50
#: Shares of replaced words at which recall is measured, on so many texts of `EDITED_WORDS` words and their copies.
EDITS, EDITED, EDITED_WORDS = (0.05, 0.1, 0.2, 0.3), 1000, 100
#: Which words are replaced: at random places, or one passage.
PLACES = ("words", "passage")
#: The default of VISDIV_TEXT_SIMILARITY, and its minimum.
SIMILARITY, LOWEST = 0.8, 0.5
#: Texts, and n-grams of each, of which MinHash is compared with libraries.
SIGNED, SIGNED_NGRAMS = 20_000, 36

#: Number of runs.
RUNS = 2 + len(PLACES) * len(EDITS) + 3

Work = Callable[[], Any]


def measure(rows: int = 1_000_000, progress: Progress = silent) -> list[Figure]:
    """Measure signatures and search, each in a separate process, recall at each share of edits, and MinHash.

    Args:
        rows: number of rows in all subsets, each with one turn.
        progress: called after every run.
    """
    figures = []
    with tempfile.TemporaryDirectory(prefix="visdiv-perf-") as folder:
        write_turns(Lake(folder), rows)
        for name, prepare in (("text signatures", _sign), ("text duplicates", _find)):
            run = measure_in_subprocess(prepare, folder)
            figures.append(Figure(f"{name} of {rows:,} rows", run.seconds, "s", peak_mb=run.peak_mb, remark=run.result))
            progress(1)
    for places in PLACES:
        for share in EDITS:
            figures += measure_recall(places, share)
            progress(1)
    figures += _measure_minhash(progress)
    return figures


def write_turns(lake: Lake, rows: int, seed: int = 0) -> None:
    """Write subsets with turns of random words, drawn by Zipf's law, some of which repeat; no row has an image."""
    random = np.random.default_rng(seed)
    each = -(-rows // len(SUBSETS))
    for subset in SUBSETS:
        images = lake.write(LakeTable.SUBSET_IMAGES, subset, code_version="1", inputs={})
        with images.add("images") as unit:
            columns = {"row": pa.int64(), "image_index": pa.int32(), "image_id": pa.string()}
            empty = pa.schema(list(columns.items())).empty_table()
            unit.table("rows", empty, empty.schema)
        images.commit(rows=each)
        turns = lake.write(LakeTable.SUBSET_TURNS, subset, code_version="1", inputs={})
        for first in range(0, each, SHARD_ROWS):
            count = min(SHARD_ROWS, each - first)
            with turns.add(f"{first}") as unit:
                unit.table("turns", _turns(random, first, count), TURNS_SCHEMA)
                counts = pa.table({"turns": pa.array([1] * count, pa.int32())})
                unit.table("rows", counts, counts.schema)
        turns.commit()


def _turns(random: np.random.Generator, first: int, count: int) -> Iterator[pa.RecordBatch]:
    questions, answers = _texts(random, count, QUESTION_WORDS), _texts(random, count, ANSWER_WORDS)
    for row in range(PLANTED, count, PLANTED):
        questions[row], answers[row] = questions[row - 1], answers[row - 1]
        answers[row - 2] = f"{answers[row - 3]} further"
    columns: dict[str, Any] = dict.fromkeys(TURNS_SCHEMA.names, [None] * count)
    columns |= {"row": np.arange(first, first + count), "turn": [0] * count, "user": questions, "assistant": answers}
    yield from pa.table(columns, schema=TURNS_SCHEMA).to_batches(max_chunksize=8192)


def _texts(random: np.random.Generator, count: int, words: int) -> list[str]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    known = np.array(["".join(letters[word // 26**power % 26] for power in range(4)) for word in range(VOCABULARY)])
    cumulated = np.cumsum(1 / np.arange(1, VOCABULARY + 1))
    drawn = np.searchsorted(cumulated, random.random((count, words)) * cumulated[-1])
    return [" ".join(text) for text in known[drawn].tolist()]


def _edited(text: str, places: str, share: float, random: np.random.Generator) -> str:
    words = text.split()
    count = round(share * len(words))
    if places == "words":
        replaced = random.choice(len(words), count, replace=False)
    else:
        replaced = np.arange(count) + random.integers(len(words) - count + 1)
    for index in replaced.tolist():
        words[index] = "edited"
    return " ".join(words)


def _sign(folder: str) -> Work:
    lake = Lake(folder)

    def work() -> str:
        texts = 0
        for subset in SUBSETS:
            write = lake.write(LakeTable.TEXT_SIGNATURES, subset, code_version="1", inputs={})
            for shard in stored_turns(lake, lake.require(LakeTable.SUBSET_TURNS, subset)):
                signed = sign_turns(shard.batches(["texts"]), first_row=shard.first_row)
                texts += len(signed.texts)
                with write.add(shard.name) as unit:
                    for role in ("turns", "texts", "buckets", "ngrams"):
                        unit.array(role, getattr(signed, role))
            write.commit()
        return f"{texts:,} different texts"

    return work


def _find(folder: str) -> Work:
    from visdiv_assets.orchestration.work.text_duplicates import TextRules, TextSearch

    lake = Lake(folder)

    def work() -> str:
        write = lake.write(LakeTable.TEXT_DUPLICATES, CORPUS_PARTITION, code_version="1", inputs={})
        corpus = open_texts(lake, SUBSETS)
        TextSearch(lake, corpus, write, TextRules(SIMILARITY, 10), {}, {}).find()
        manifest = write.commit()
        of_pairs = (pc.field("subset") == ALL) & (pc.field("kind") == "pair") & (pc.field("match") == "exact")
        (pairs,) = lake.read(manifest, "summary", where=of_pairs)["repeated"].to_pylist()
        return f"{pairs:,} turns repeat a pair, {manifest.rows('near'):,} pairs of near duplicates"

    return work


def measure_recall(places: str, share: float, seed: int = 0) -> Iterator[Figure]:
    """Compare texts and edited copies, and yield how many of the pairs that brute force finds are found.

    Args:
        places: one of `PLACES`.
        share: share of the words that are replaced.
        seed: of the random texts.
    """
    random = np.random.default_rng(seed)
    texts = _texts(random, EDITED, EDITED_WORDS)
    records = [[{"user": text, "assistant": _edited(text, places, share, random)}] for text in texts]
    signed = sign_turns([pa.record_batch({"texts": pa.array(records)})], first_row=0)
    for threshold in (SIMILARITY, LOWEST):
        exact, found = _all_pairs(signed, threshold), _found_pairs(signed, threshold)
        precision = len(exact & found) / len(found) if found else 1.0
        recall = f"recall {len(exact & found) / len(exact):.3f}, " if exact else ""
        yield Figure(
            f"near duplicates, {share:.0%} edited ({places}), similarity {threshold}",
            len(found),
            "pairs",
            "brute force",
            len(exact),
            remark=f"{recall}precision {precision:.3f}, of {EDITED:,} copies",
        )


def _all_pairs(signed: Signatures, threshold: float) -> set[tuple[int, int]]:
    """Return all pairs of texts that reach a similarity, by the product of the matrix of texts and n-grams."""
    from scipy.sparse import csr_array

    counts = signed.texts[:, 3].astype(np.int64)
    _, column = np.unique(signed.ngrams[:, 0], return_inverse=True)
    ends = np.concatenate([[0], np.cumsum(counts)])
    incidence = csr_array((np.ones(len(column), np.int32), column, ends), shape=(len(counts), column.max() + 1))
    both = (incidence @ incidence.T).tocoo()
    left, right = both.coords
    similarity = both.data / (counts[left] + counts[right] - both.data)
    near = (left < right) & (similarity.astype(np.float32) >= np.float32(threshold))
    return set(zip(left[near].tolist(), right[near].tolist(), strict=True))


def _found_pairs(signed: Signatures, threshold: float) -> set[tuple[int, int]]:
    """Return the pairs that share a bucket and reach a similarity."""
    columns = [bucket_pairs(bucket) for bucket in signed.buckets.T]
    left, right = (np.concatenate([pair[side] for pair in columns]) for side in (0, 1))
    counts = signed.texts[:, 3].astype(np.int64)
    similarity = jaccard(signed.ngrams, np.cumsum(counts) - counts, counts, left, right, threshold)
    near = similarity >= np.float32(threshold)
    return set(zip(left[near].tolist(), right[near].tolist(), strict=True))


def _measure_minhash(progress: Progress) -> list[Figure]:
    """Compare the time of MinHash with that of libraries, as far as they are installed."""
    ours = measure_in_subprocess(partial(_minhash, "ours"))
    progress(1)
    figures = []
    name = f"MinHash of {SIGNED:,} texts"
    for peer in ("rensa", "datasketch"):
        if is_installed(peer):
            theirs = measure_in_subprocess(partial(_minhash, peer))
            ratio = theirs.seconds / ours.seconds
            figures.append(Figure(name, ours.seconds, "s", peer, theirs.seconds, ratio, ours.peak_mb, theirs.peak_mb))
        progress(1)
    return figures or [Figure(name, ours.seconds, "s", peak_mb=ours.peak_mb)]


def _minhash(library: str) -> Work:
    random = np.random.default_rng(0)
    hashes = random.integers(1 << 64, size=SIGNED * SIGNED_NGRAMS, dtype=np.uint64)
    size = BUCKETS * BUCKET_HASHES
    if library == "rensa":
        from rensa import RMinHash

        ends = np.arange(0, len(hashes) + 1, SIGNED_NGRAMS, dtype=np.uint64)
        digest = RMinHash.digest_matrix_from_flat_token_hashes
        # Its matrix can be read as lists only.
        return lambda: len(np.array(digest(hashes, ends, size, 1).to_rows(), np.uint32))
    if library == "datasketch":
        from datasketch import MinHash

        short = (hashes >> np.uint64(32)).reshape(-1, SIGNED_NGRAMS).tolist()

        def sign() -> int:
            for text in short:
                MinHash(size, hashfunc=int).update_batch(text)
            return len(short)

        return sign
    counts = np.full(SIGNED, SIGNED_NGRAMS)
    return lambda: len(bucket_hashes(hashes, counts))
