"""Build, write and query FAISS indexes, which are saved beside their image_ids.

An index holds the float16 values of the lake, so that it is exact at half the size of float32.
"""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

import numpy as np

from visdiv_assets.vectors.matrix import Matrix

if TYPE_CHECKING:
    import faiss

#: Vectors added at a time.
BLOCK = 16_384


def build_index(vectors: Matrix) -> faiss.Index:
    """Build an exact inner-product index over unit vectors [n, d], which are read in blocks."""
    import faiss

    index = faiss.IndexScalarQuantizer(vectors.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    for start in range(0, vectors.shape[0], BLOCK):
        index.add(np.ascontiguousarray(vectors[start : start + BLOCK], dtype=np.float32))
    return index


def write_index(index: faiss.Index, stream: IO[bytes]) -> int:
    """Write an index to a stream and return its number of vectors."""
    import faiss

    writer = faiss.BufferedIOWriter(faiss.PyCallbackIOWriter(stream.write), 1 << 20)
    faiss.write_index(index, writer)
    del writer  # flushes
    return int(index.ntotal)


def read_index(stream: IO[bytes]) -> faiss.Index:
    """Read an index written by `write_index`."""
    import faiss

    return faiss.read_index(faiss.BufferedIOReader(faiss.PyCallbackIOReader(stream.read), 1 << 20))


def nearest(index: faiss.Index, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the k nearest vectors of each query [m, d].

    Returns:
        similarities float32 [m, k], descending, and row indices int64 [m, k], -1 where the index has fewer than k
        vectors.
    """
    similarity, rows = index.search(np.ascontiguousarray(queries, dtype=np.float32), k)
    return similarity, rows
