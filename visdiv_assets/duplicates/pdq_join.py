"""Find the pairs of images whose PDQ hashes differ in few bits, turned and mirrored images included.

With bits as +-1/16, the inner product of two hashes is 1 - 2 * distance / 256, so the exact join finds the pairs.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from visdiv_assets.imaging.pdq import BITS, ORIENTATIONS
from visdiv_assets.vectors.join import join

PAIR_SCHEMA = pa.schema([("left", pa.int64()), ("right", pa.int64()), ("pdq_distance", pa.int16())])


def close_hashes(
    left: pa.Array, right: pa.Array | None, *, distance: int, k_best: int, device: str = "cpu"
) -> pa.Table:
    """Find the pairs of images whose hashes differ in few bits in the best of 8 orientations.

    Args:
        left: hashes of `imaging.pdq.fingerprints`, binary [n], null where there is none.
        right: hashes of another set; None for the pairs left < right within one set.
        distance: largest number of differing bits.
        k_best: keep a pair only if it is among the K best of one of its two images in its orientation.
        device: "cpu", "cuda" or "cuda:N".

    Returns:
        table of `PAIR_SCHEMA`, each pair once.
    """
    threshold = 1 - 2 * distance / BITS
    hashed, upright = _hashed_rows(left), _unit_vectors(left, 0)
    other = left if right is None else right
    other_hashed = hashed if right is None else _hashed_rows(other)
    parts = []
    for orientation in range(ORIENTATIONS if len(hashed) and len(other_hashed) else 0):
        within = right is None and orientation == 0
        turned = None if within else _unit_vectors(other, orientation)
        pairs = join(upright, turned, threshold, k_best=k_best, device=device).pairs
        a, b = hashed[pairs["left"].to_numpy()], other_hashed[pairs["right"].to_numpy()]
        bits = np.rint((1 - pairs["similarity"].to_numpy()) * BITS / 2).astype(np.int16)
        if right is None:
            different = a != b
            a, b, bits = np.minimum(a, b)[different], np.maximum(a, b)[different], bits[different]
        parts.append((a, b, bits))
    if not parts:
        return PAIR_SCHEMA.empty_table()
    found = pa.table([np.concatenate(column) for column in zip(*parts, strict=True)], schema=PAIR_SCHEMA)
    best = found.group_by(["left", "right"], use_threads=False).aggregate([("pdq_distance", "min")])
    return best.rename_columns(PAIR_SCHEMA.names)


def _hashed_rows(hashes: pa.Array) -> np.ndarray:
    """Return the indices of the images that have hashes, int64 [m]."""
    return np.flatnonzero(hashes.is_valid().to_numpy(zero_copy_only=False))


def _unit_vectors(hashes: pa.Array, orientation: int) -> np.ndarray:
    """Return the hashes of one orientation as unit vectors, float16 [m, 256]."""
    packed = np.frombuffer(b"".join(hashes.drop_null().to_pylist()), np.uint8).reshape(-1, ORIENTATIONS, BITS // 8)
    bits = np.unpackbits(packed[:, orientation], axis=1)
    return (bits.astype(np.float16) * 2 - 1) / np.float16(np.sqrt(BITS))
