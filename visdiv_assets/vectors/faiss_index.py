"""FAISS indexes: saved beside their image_ids, for queries with one image or a few.

The vectors are kept in float16, as they lie in the lake, so that an index holds exactly their values at half the size.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import numpy as np

from visdiv_assets.vectors.matrix import Matrix

if TYPE_CHECKING:
    import faiss

BLOCK = 16_384


def build_index(vectors: Matrix) -> faiss.Index:
    """An exact inner-product index over unit vectors [n, d], numbered by row; they are read in blocks."""
    import faiss

    index = faiss.IndexScalarQuantizer(vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    for start in range(0, vectors.shape[0], BLOCK):
        index.add(np.ascontiguousarray(vectors[start : start + BLOCK], dtype=np.float32))
    return index


def write_index(index: faiss.Index, stream: IO[bytes]) -> int:
    """Write an index to a stream; returns its number of vectors."""
    import faiss

    writer = faiss.BufferedIOWriter(faiss.PyCallbackIOWriter(stream.write), 1 << 20)
    faiss.write_index(index, writer)
    del writer  # flushes
    return int(index.ntotal)


def read_index(stream: IO[bytes]) -> faiss.Index:
    """Read an index that `write_index` wrote."""
    import faiss

    return faiss.read_index(faiss.BufferedIOReader(faiss.PyCallbackIOReader(stream.read), 1 << 20))


def nearest(index: faiss.Index, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest vectors of each query [m, d].

    Returns:
        similarities float32 [m, k], descending, and row numbers int64 [m, k], -1 where there are fewer than k.
    """
    similarity, rows = index.search(np.ascontiguousarray(queries, dtype=np.float32), k)
    return similarity, rows
