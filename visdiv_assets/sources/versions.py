"""The version of a subset: its shards with the digests of their content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from visdiv_assets.sources.interface import Kind, Shard, Source
from visdiv_assets.storage.manifest import digest_of


@dataclass(frozen=True)
class VersionedShard:
    """A shard, the SHA-256 of its content, and the index of its first row in the subset."""

    shard: Shard
    digest: str
    first_row: int


@dataclass(frozen=True)
class Version:
    """A version of a subset: its shards in order.

    `revision` is a digest of their names and contents, so it stays the same when files are copied or touched.
    """

    shards: tuple[VersionedShard, ...]

    @property
    def revision(self) -> str:
        """Digest of the names and contents of the shards, 32 hex characters."""
        return digest_of([[shard.shard.name, shard.digest] for shard in self.shards])

    @property
    def rows(self) -> int:
        """Number of rows of all shards."""
        return sum(shard.shard.rows for shard in self.shards)

    @property
    def files(self) -> list[tuple[str, int]]:
        """The name and the number of rows of each file, in order; empty if each row is a file."""
        return [(shard.shard.name, shard.shard.rows) for shard in self.shards if shard.shard.one_file]

    def known_digests(self) -> dict[str, str]:
        """Return digests by fingerprint, for the next call of `version_of`."""
        return {shard.shard.fingerprint: shard.digest for shard in self.shards}


def version_of(source: Source, kind: Kind, name: str, known: Mapping[str, str] | None = None) -> Version:
    """Return the present version of a subset.

    Args:
        source: the source with the subset.
        kind: subset or benchmark.
        name: its name.
        known: digests by fingerprint from an earlier call; a shard with a known fingerprint is not read again.

    Raises:
        SourceError: the subset has no shards, or a file cannot be read.
    """
    shards = []
    first_row = 0
    for shard, digest in source.digests(kind, name, known or {}):
        shards.append(VersionedShard(shard, digest, first_row))
        first_row += shard.rows
    return Version(tuple(shards))
