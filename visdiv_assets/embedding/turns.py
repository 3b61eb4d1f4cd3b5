"""Embed the texts of a subset's turns shard by shard, each distinct text once.

A text of only white space has no vector; its turn is listed without a text_id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.embedding.clip.texts import ClipTexts, Tokens
from visdiv_assets.embedding.shards import KnownVectors
from visdiv_assets.imaging.id_index import IdSet
from visdiv_assets.progress import Progress, silent
from visdiv_assets.sources.conform import positions_of_entries
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

TEXTS_SCHEMA = pa.schema([("text_id", pa.string()), ("tokens", pa.int32()), ("truncated", pa.bool_())])
TURNS_SCHEMA = pa.schema([("row", pa.int64()), ("turn", pa.int32()), ("text_id", pa.string())])

#: The fields of a turn that are embedded, by the setting `clip_text`.
FIELDS = {"user": ("user",), "assistant": ("assistant",), "both": ("user", "assistant")}

#: Sequences collected before the model is called, to batch them by length: at most 77 numbers each.
POOL = 4096


def text_id(text: str) -> str:
    """Return the identity of a text: the first 16 bytes of the SHA-256 of its UTF-8, as 32 hex characters."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def turn_texts(batch: pa.RecordBatch, which: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Extract the texts of a batch.

    Args:
        batch: rows with a column `texts`: list<struct<user, assistant>>.
        which: a key of `FIELDS`; `both` joins the fields that are not empty by a newline.

    Returns:
        the row within the batch, int64 [m]; the turn within the row, int32 [m]; and the m texts, empty for a turn
        without one. Rows without turns are not listed.
    """
    column = batch.column("texts")
    rows, turns = positions_of_entries(column.value_lengths())
    flat = column.flatten()
    fields = [pc.fill_null(flat.field(name), "").to_pylist() for name in FIELDS[which]]
    texts = ["\n".join(filter(None, parts)) for parts in zip(*fields, strict=True)]
    return rows, turns.astype(np.int32), texts


class KnownTexts(KnownVectors):
    """Texts of an earlier version of a subset and their vectors, which need not be computed again."""

    def __init__(self, lake: Lake, manifest: Manifest | None, model_id: str) -> None:
        """Open the texts of a manifest, unless they are from another model."""
        super().__init__(lake, manifest, model_id, role="texts", column="text_id")
        if manifest is not None and len(self._index):
            texts = lake.read(manifest, "texts", columns=["tokens", "truncated"])
            self._tokens, self._truncated = texts["tokens"].to_numpy(), texts["truncated"].to_numpy()

    def token_counts(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the number of tokens of some rows' texts, int32 [n], and whether they were truncated, bool [n]."""
        return self._tokens[rows], self._truncated[rows]


class ShardTexts(NamedTuple):
    """The turns of a shard, and the texts that did not occur in an earlier shard.

    Attributes:
        vectors: float16 [n, dimension], unit length, of the n texts.
        norms: float32 [n], their lengths before scaling.
        texts: rows of `TEXTS_SCHEMA`, in order of first occurrence.
        turns: rows of `TURNS_SCHEMA`, every turn in order; text_id is null for a turn without text.
        computed: number of vectors that were computed because they were not known.
    """

    vectors: np.ndarray
    norms: np.ndarray
    texts: pa.Table
    turns: pa.Table
    computed: int


def embed_turns(
    batches: Iterable[pa.RecordBatch],
    embedder: ClipTexts,
    *,
    first_row: int,
    which: str,
    seen: IdSet,
    known: KnownTexts,
    threads: int,
    progress: Progress = silent,
) -> ShardTexts:
    """Embed the texts of a shard's turns. One batch of texts is in memory at a time, and tokens of waiting ones.

    Args:
        batches: the shard's rows with a column `texts`.
        embedder: the model.
        first_row: index of the shard's first row in the subset.
        which: a key of `FIELDS`.
        seen: texts of earlier shards, which are not embedded again.
        known: vectors that need not be computed.
        threads: threads that call the model on a CPU.
        progress: called with the number of rows finished.
    """
    met: set[str] = set()
    turns: list[pa.RecordBatch] = []
    collected = _TextCollector(embedder, known, threads)
    for batch in batches:
        rows, row_turns, texts = turn_texts(batch, which)
        ids = [text_id(text) if text.strip() else None for text in texts]
        turns.append(
            pa.record_batch(
                [pa.array(rows + first_row), pa.array(row_turns), pa.array(ids, pa.string())], schema=TURNS_SCHEMA
            )
        )
        fresh = {name: text for name, text in zip(ids, texts, strict=True) if name and name not in met}
        met.update(fresh)
        names = np.array(list(fresh), "S32")
        collected.add(names[~seen.holds(names)], fresh)
        first_row += batch.num_rows
        progress(batch.num_rows)
    return collected.finish(pa.Table.from_batches(turns, TURNS_SCHEMA))


class _TextCollector:
    """Collects texts in order of first occurrence, and embeds them in batches of similar length."""

    def __init__(self, embedder: ClipTexts, known: KnownTexts, threads: int) -> None:
        self._embedder, self._known, self._threads = embedder, known, threads
        self._ids: list[np.ndarray] = [np.empty(0, "S32")]
        self._count = self._computed = 0
        # The results so far: indices of the texts, and one list per column.
        self._indices: list[np.ndarray] = []
        self._vectors: list[np.ndarray] = []
        self._norms: list[np.ndarray] = []
        self._tokens: list[np.ndarray] = []
        self._truncated: list[np.ndarray] = []
        self._waiting: list[tuple[int, Tokens]] = []
        self._sequences = 0

    def add(self, names: np.ndarray, texts: dict[str, str]) -> None:
        """Add texts by their text_ids, S32 [n]."""
        have, rows = self._known.rows(names)
        if len(rows):
            vectors, norms = self._known.vectors(rows), self._known.norms(rows)
            self._store(self._count + np.flatnonzero(have), vectors, norms, *self._known.token_counts(rows))
        for index in np.flatnonzero(~have):
            tokens = self._embedder.tokenize(texts[names[index].decode()])
            self._waiting.append((self._count + int(index), tokens))
            self._sequences += len(tokens.sequences)
            if self._sequences >= POOL:
                self._flush()
        self._ids.append(names)
        self._count += len(names)

    def finish(self, turns: pa.Table) -> ShardTexts:
        """Embed the waiting texts, and return all in order."""
        self._flush()
        order = np.argsort(np.concatenate([np.empty(0, np.int64), *self._indices]))
        empty = np.empty((0, self._embedder.dimension), np.float16)
        tokens = np.concatenate([np.empty(0, np.int32), *self._tokens])[order]
        truncated = np.concatenate([np.empty(0, bool), *self._truncated])[order]
        ids = pa.array(np.concatenate(self._ids).astype("U32"), pa.string())
        return ShardTexts(
            vectors=np.concatenate([empty, *self._vectors])[order],
            norms=np.concatenate([np.empty(0, np.float32), *self._norms])[order],
            texts=pa.table([ids, pa.array(tokens, pa.int32()), pa.array(truncated)], schema=TEXTS_SCHEMA),
            turns=turns,
            computed=self._computed,
        )

    def _flush(self) -> None:
        if not self._waiting:
            return
        indices, texts = zip(*self._waiting, strict=True)
        found = self._embedder.embed_tokens(texts, threads=self._threads)
        self._store(
            np.array(indices),
            found.vectors.astype(np.float16),
            found.norms,
            np.array([text.count for text in texts], np.int32),
            np.array([text.truncated for text in texts]),
        )
        self._computed += len(texts)
        self._waiting, self._sequences = [], 0

    def _store(
        self, indices: np.ndarray, vectors: np.ndarray, norms: np.ndarray, tokens: np.ndarray, truncated: np.ndarray
    ) -> None:
        self._indices.append(indices)
        self._vectors.append(vectors)
        self._norms.append(norms)
        self._tokens.append(tokens)
        self._truncated.append(truncated)
