"""Find the images of the materialized subsets that are nearest to queries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from visdiv_assets.corpus.access import require_one_model
from visdiv_assets.corpus.image_lookup import ImageReader, ImageRef, find_first_positions
from visdiv_assets.corpus.tables import remedy
from visdiv_assets.corpus.turns import row_texts
from visdiv_assets.embedding.queries import TABLES, By, Query, QueryModels, embed_queries
from visdiv_assets.errors import ConfigError, InputError
from visdiv_assets.imaging.id_index import IdIndex
from visdiv_assets.progress import Progress, silent
from visdiv_assets.sources import Kind, Source
from visdiv_assets.sources.files import no_such
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest
from visdiv_assets.vectors.nearest import Found, combine_queries, find_nearest


@dataclass(frozen=True)
class Match:
    """A found image at its first position, with the text of its row as its note, and its score."""

    image: ImageRef
    score: float


@dataclass(frozen=True)
class Like:
    """An image of a subset to search for, by its stored vector.

    Attributes:
        subset: the subset.
        image_id: the image.
        weight: its weight in a sum of queries; a negative weight searches away from it.
    """

    subset: str
    image_id: str
    weight: float = 1.0


#: Returns which of the images of a subset may be found: bool [n] for their image_ids [n].
Allowed = Callable[[str, pa.ChunkedArray], np.ndarray]


@dataclass(frozen=True)
class Finder:
    """Searches the vectors of a lake, exactly.

    Attributes:
        reader: reads what is known of images, from the lake that holds the vectors.
        source: only its subsets are searched.
        models: embed queries.
    """

    reader: ImageReader
    source: Source
    models: QueryModels

    def find(
        self,
        queries: Sequence[Query],
        by: By,
        subsets: Sequence[str],
        count: int,
        *,
        like: Sequence[Like] = (),
        allowed: Allowed | None = None,
        progress: Callable[[int], Progress] = lambda total: silent,
    ) -> list[Match]:
        """Return the images that best match the weighted sum of all queries, best first.

        Args:
            queries: texts and images to embed.
            by: the model to compare by.
            subsets: the subsets to search; empty: all.
            count: maximum number of images.
            like: images of subsets to search for, by the same model.
            allowed: says which images may be found; None: all.
            progress: called with the number of vectors; returns what is called with the number compared.

        Raises:
            ConfigError: a subset is unknown or has no vectors of the model.
            InputError: there is no query, an image of `like` has no vector, or the queries cancel each other out.
            ModelError: subsets were embedded by different models, or a query cannot be embedded; see `embed_queries`.
        """
        if not queries and not like:
            raise InputError("give a text or an image to search for")
        embeddings = self._embeddings(by, subsets)
        of_like = {manifest.partition: manifest for manifest in self._of_like(by, like)}
        model = require_one_model([*embeddings, *of_like.values()])
        parts = [self._lake.array(manifest, "vectors") for manifest in embeddings]
        vectors = []
        if queries:
            vectors.append(embed_queries(queries, self.models, by, str(model)))
        vectors += [self._vector(of_like[each.subset], each) for each in like]
        weights = [query.weight for query in queries] + [each.weight for each in like]
        combined = combine_queries(np.concatenate(vectors), weights)
        masks = None
        if allowed is not None:
            masks = [allowed(manifest.partition, self._ids(manifest)) for manifest in embeddings]
        advance = progress(sum(len(part) for part in parts))
        return self._matches(embeddings, find_nearest(parts, combined, count, masks=masks, progress=advance))

    @property
    def _lake(self) -> Lake:
        return self.reader.lake

    def _ids(self, manifest: Manifest) -> pa.ChunkedArray:
        return self._lake.read(manifest, "ids", columns=["image_id"])["image_id"]

    def _of_like(self, by: By, like: Sequence[Like]) -> list[Manifest]:
        return self._embeddings(by, [each.subset for each in like]) if like else []

    def _vector(self, manifest: Manifest, like: Like) -> np.ndarray:
        """Return the stored vector of an image: float32 [1, d]."""
        (row,) = IdIndex(self._ids(manifest)).rows(pa.array([like.image_id], pa.string())).tolist()
        if row < 0:
            raise InputError(f"{like.subset!r} holds no vector of image {like.image_id}")
        return np.asarray(self._lake.array(manifest, "vectors")[row : row + 1], np.float32)

    def _embeddings(self, by: By, subsets: Sequence[str]) -> list[Manifest]:
        """Return the embeddings of the given subsets, or of all subsets that are still in the source."""
        table = TABLES[by]
        held = self.source.subsets()
        if unknown := [subset for subset in subsets if subset not in held]:
            raise no_such(self.source.uri, Kind.SUBSET, unknown[0], held)
        stored = self._lake.partitions(table)
        names = list(dict.fromkeys(subsets)) or [name for name in stored if name in held]
        missing = [name for name in names if name not in stored]
        if missing or not names:
            what = f"{table} of {missing[0]!r}" if missing else f"{table} of any subset"
            all_subsets = "run `visdiv run --all`" + (" with CLIP weights in VISDIV_CLIP_MODEL" if by == "clip" else "")
            raise ConfigError(f"there is no {what}: {remedy(table, missing[0]) if missing else all_subsets}")
        return [self._lake.require(table, name) for name in sorted(names)]

    def _matches(self, embeddings: Sequence[Manifest], found: Found) -> list[Match]:
        """Return the found images with their positions and texts."""
        matches: dict[int, Match] = {}
        for part, manifest in enumerate(embeddings):
            ranks = [rank for rank, found_in in enumerate(found.part.tolist()) if found_in == part]
            if not ranks:
                continue
            ids = self._ids(manifest).take(pa.array(found.row[ranks])).to_pylist()
            positions = find_first_positions(self._lake, manifest.partition, ids)
            if lost := [image_id for image_id in ids if image_id not in positions]:
                raise ConfigError(
                    f"{manifest.table} of {manifest.partition!r} contains image {lost[0]}, which its images do not "
                    f"list: {remedy(manifest.table, manifest.partition)}"
                )
            images = self.reader.read(Kind.SUBSET, positions.values())
            texts = row_texts(self._lake, manifest.partition, (at.row for at in positions.values()))
            for rank, image_id in zip(ranks, ids, strict=True):
                position = positions[image_id]
                image = replace(images[position], note=texts[position.row])
                matches[rank] = Match(image, float(found.score[rank]))
        return [matches[rank] for rank in sorted(matches)]
