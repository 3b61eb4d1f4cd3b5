"""The steps that find duplicate texts of all subsets: near duplicates, groups, summary. Finished units are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.duplicates import text_groups, text_near
from visdiv_assets.duplicates.text_corpus import TextCorpus, row_images
from visdiv_assets.duplicates.text_excerpts import read_excerpts
from visdiv_assets.progress import progress
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.partition_write import PartitionWrite
from visdiv_assets.texts.signatures import BUCKETS

#: The largest groups, with an excerpt of the text of each.
LARGEST_SCHEMA = text_groups.GROUPS_SCHEMA.append(pa.field("excerpt", pa.string()))
ROWS_SCHEMA = pa.schema([("subset", pa.string()), ("row", pa.int64())])


@dataclass(frozen=True)
class TextRules:
    """What duplicate texts are.

    Attributes:
        near_similarity: minimum Jaccard similarity of near duplicates.
        template_images: minimum number of different images beside which a question with several answers is a template.
    """

    near_similarity: float
    template_images: int

    def settings(self) -> dict[str, Any]:
        """Return the rules as settings of a partition."""
        return asdict(self)


@dataclass
class TextSearch:
    """Finds the duplicate texts of all subsets.

    Attributes:
        lake: holds the images, turns and confirmed pairs of the subsets.
        corpus: their signatures.
        write: the partition of `text_duplicates`.
        rules: what duplicates are.
        signatures: digests of the signatures.
        images: digests of what the images of rows are known from.
    """

    lake: Lake
    corpus: TextCorpus
    write: PartitionWrite
    rules: TextRules
    signatures: Mapping[str, str]
    images: Mapping[str, str]

    def find(self) -> None:
        """Write near duplicates, groups, and what is summarized from them."""
        self._find_near()
        self._group()
        self._summarize()

    def _find_near(self) -> None:
        """Compare the texts that share a bucket, block by block."""
        firsts = range(0, len(self.corpus.texts), text_near.BLOCK)
        scratch = self.write.scratch()
        candidates: list[np.ndarray] = []
        with progress("comparing texts", len(firsts), "block") as advance:
            for first in firsts:
                name = f"near {first}"
                if not self.write.reuse(name, self.signatures):
                    candidates = candidates or self._candidates(scratch)
                    with self.write.add(name, self.signatures) as unit:
                        threshold = self.rules.near_similarity
                        found = text_near.near_pairs(self.corpus, self._texts, candidates, first, threshold)
                        unit.table("near", found, text_near.NEAR_SCHEMA)
                advance(1)
        scratch.remove()

    @cached_property
    def _texts(self) -> text_near.Distinct:
        return text_near.distinct_texts(self.corpus)

    def _candidates(self, scratch: PartitionWrite) -> list[np.ndarray]:
        """Return the candidate pairs of each bucket, memory-mapped."""
        for bucket in range(BUCKETS):
            name = f"bucket {bucket}"
            if not scratch.reuse(name, self.signatures):
                with scratch.add(name, self.signatures) as unit:
                    codes = text_near.bucket_candidates(self.corpus, self._texts, bucket)
                    unit.array(f"candidates_{bucket}", codes[:, None])
        draft = scratch.draft()
        return [self.lake.array(draft, f"candidates_{bucket}").parts[0][:, 0] for bucket in range(BUCKETS)]

    def _group(self) -> None:
        parts = text_near.part_count(self.corpus.turn_count)
        with progress("grouping texts", parts * len(text_groups.KINDS), "part") as advance:
            for kind in text_groups.KINDS:
                for part in range(parts):
                    name = f"{kind.name} {kind.match} {part}"
                    if not self.write.reuse(name, self._inputs):
                        with self.write.add(name, self._inputs) as unit:
                            found = text_groups.group_turns(self.corpus, kind, self._rule, part, parts)
                            unit.table("counts", found.counts, text_groups.COUNTS_SCHEMA)
                            unit.table("groups", found.groups, text_groups.GROUPS_SCHEMA)
                            unit.table("turns", found.turns, text_groups.TURNS_SCHEMA)
                    advance(1)

    @property
    def _inputs(self) -> dict[str, str]:
        return {**self.signatures, **self.images}

    @cached_property
    def _rule(self) -> text_groups.GroupRule:
        draft = self.write.draft()
        near = self.lake.read(draft, "near") if draft.files("near") else text_near.NEAR_SCHEMA.empty_table()
        clusters = {side: text_near.text_clusters(near, side) for side in ("question", "answer")}
        return text_groups.GroupRule(row_images(self.lake, self.corpus.subsets), clusters, self.rules.template_images)

    def _summarize(self) -> None:
        if self.write.reuse("found", self._inputs):
            return
        draft = self.write.draft()
        largest = text_groups.largest(self.lake.read(draft, "groups"))
        on_image = self.lake.read(draft, "turns", where=pc.field("kind") == "pair_on_image")
        with self.write.add("found", self._inputs) as unit:
            unit.table("summary", text_groups.add_up(self.lake.read(draft, "counts")), text_groups.SUMMARY_SCHEMA)
            with_texts = largest.append_column(LARGEST_SCHEMA.field("excerpt"), read_excerpts(self.lake, largest))
            unit.table("largest", with_texts, LARGEST_SCHEMA)
            unit.table("rows", text_groups.fully_repeated_rows(self.corpus, on_image), ROWS_SCHEMA)
