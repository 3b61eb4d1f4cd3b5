"""Bytes on a disk or an object store, written whole or not at all.

Belongs here: atomic writes, the lake's partitions and manifests, reuse of finished units of work, locks, local caches,
garbage collection. Does not: what the rows of a table mean or how they are computed.
"""
