"""Exact computations on matrices [n, d] of unit vectors: joins, top-k, nearest neighbors, k-means, the FAISS index."""
