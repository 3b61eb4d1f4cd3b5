"""Fill each table of the DuckDB file from the lake."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.access import is_current
from visdiv_assets.corpus.tables import CORPUS_PARTITION, NEEDS_CLIP, NEEDS_OCR, ON_REQUEST, LakeTable
from visdiv_assets.curation.image_issues import ISSUE_VALUES, size_bounds
from visdiv_assets.diversity.published import published_scores
from visdiv_assets.duplicates.person_decisions import Decisions
from visdiv_assets.duplicates.thresholds import NAMED_THRESHOLDS
from visdiv_assets.publishing.warehouse import (
    clip,
    image_texts,
    image_types,
    masked_alignment,
    schema,
    text_quality,
    texts,
)
from visdiv_assets.publishing.warehouse.history import fill_history
from visdiv_assets.publishing.warehouse.images import neighbors_column
from visdiv_assets.publishing.warehouse.loading import Loader
from visdiv_assets.publishing.warehouse.pair_tables import fill_close_pairs, fill_contamination_pairs
from visdiv_assets.publishing.warehouse.publication import Publication
from visdiv_assets.publishing.warehouse.review import fill_review
from visdiv_assets.publishing.warehouse.row_table import fill_rows
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

if TYPE_CHECKING:
    import duckdb

#: Tables that are copied: the table of the lake, the role of its files, the table of the DuckDB file.
COPIED_BY_SUBSET = (
    (LakeTable.SUBSET_DIVERSITY, "scores", schema.DIVERSITY),
    (LakeTable.RAREFIED_DIVERSITY, "scores", schema.DIVERSITY_RAREFIED),
    (LakeTable.CONTAMINATION, "rates", schema.CONTAMINATION_RATES),
    (LakeTable.VERIFIED_CONTAMINATION, "rates", schema.CONTAMINATION_RATES),
    (LakeTable.TEXT_CONTAMINATION, "overlaps", texts.TEXT_OVERLAPS),
    (LakeTable.TEXT_CONTAMINATION, "rates", texts.TEXT_CONTAMINATION_RATES),
    (LakeTable.TEXT_QUALITY, "turns", text_quality.TEXT_QUALITY),
    (LakeTable.TEXT_QUALITY, "personal", text_quality.PERSONAL_DATA),
    (LakeTable.IMAGE_TYPES, "positions", image_types.IMAGE_TYPES),
    (LakeTable.CLIP_IMAGE_TAGS, "types", image_types.IMAGE_TYPES),
    (LakeTable.CLIP_IMAGE_TAGS, "inappropriate", image_types.INAPPROPRIATE_IMAGES),
    (LakeTable.LISTED_WORDS, "words", image_types.LISTED_WORDS),
    (LakeTable.IMAGE_LISTED_WORDS, "words", image_types.LISTED_WORDS),
    (LakeTable.JUDGE_RATINGS, "rows", schema.JUDGE_RATINGS),
    (LakeTable.CALIBRATION, "rates", schema.CALIBRATION),
    (LakeTable.ALIGNMENT, "rows", clip.ALIGNMENT),
    (LakeTable.ALIGNMENT, "summary", clip.ALIGNMENT_SUMMARY),
    (LakeTable.CLIP_NEAR_DUPLICATES, "pairs", clip.CLIP_PAIRS),
    (LakeTable.CLIP_NEAR_DUPLICATES, "counts", clip.CLIP_PAIR_SUMMARY),
    (LakeTable.MAPS, "layouts", clip.MAP_POINTS),
    (LakeTable.IMAGE_TEXTS, "images", schema.IMAGE_TEXTS),
    (LakeTable.IMAGE_TEXTS, "personal", image_texts.IMAGE_PERSONAL_DATA),
    (LakeTable.IMAGE_TEXT_LEAKS, "matches", image_texts.IMAGE_TEXT_LEAKS),
    (LakeTable.IMAGE_TEXT_LEAKS, "rates", image_texts.IMAGE_TEXT_LEAK_RATES),
    (LakeTable.MASKED_ALIGNMENT, "scores", masked_alignment.MASKED_ALIGNMENT),
)
COPIED = (
    (LakeTable.DUPLICATE_CLUSTERS, "positions", schema.DUPLICATE_CLUSTERS),
    (LakeTable.DUPLICATE_CLUSTERS, "summary", schema.CLUSTER_SUMMARY),
    (LakeTable.DUPLICATE_CLUSTERS, "sizes", schema.COMPONENT_SIZES),
    (LakeTable.CROSS_SUBSET_DUPLICATES, "overlap", schema.SUBSET_OVERLAP),
    (LakeTable.TEXT_DUPLICATES, "summary", texts.TEXT_DUPLICATE_SUMMARY),
    (LakeTable.TEXT_DUPLICATES, "largest", texts.TEXT_GROUPS),
    (LakeTable.TEXT_DUPLICATES, "near", texts.TEXT_NEAR_DUPLICATES),
    (LakeTable.TEXT_DUPLICATES, "turns", texts.REPEATED_TURNS),
    (LakeTable.CURATED_ROWS, "dropped", schema.DROPPED_ROWS),
    (LakeTable.CORPUS_DIVERSITY, "scores", schema.DIVERSITY),
    (LakeTable.MIXTURE_WEIGHTS, "weights", schema.MIXTURE_WEIGHTS),
    (LakeTable.SELECTION_SCORES, "scores", clip.SELECTION_SCORES),
)


class Filler:
    """Fills the tables of an empty DuckDB file, and counts in the lake how many rows each should get."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        lake: Lake,
        category: Callable[[str], str | None],
        publication: Publication,
        decisions: Decisions,
    ) -> None:
        """Fill through an open connection.

        Args:
            connection: to the empty file.
            lake: where the rows come from.
            category: returns the category of a subset.
            publication: the content of the table `meta`.
            decisions: people's decisions on pairs.
        """
        self._loader = Loader(connection, lake)
        self._lake = lake
        self._category = category
        self._publication = publication
        self._decisions = decisions
        self._published_at = datetime.now(UTC)

    def fill(self) -> dict[str, int]:
        """Create and fill all tables and views, with comments.

        Returns:
            by table, the number of rows that the lake holds for it.
        """
        with self._loader.transaction():
            for table in (*schema.TABLES, *schema.VIEWS):
                for statement in (table.create_statement(), *table.comment_statements()):
                    self._loader.connection.execute(statement)
        for table in schema.TABLES:
            self._loader.expect(table.name, 0)
        self._fill_meta()
        subsets = self._lake.partitions(LakeTable.SUBSET_IMAGES)
        for subset in subsets:
            self._fill_subset(subset)
        for benchmark in self._lake.partitions(LakeTable.BENCHMARK_IMAGES):
            self._fill_benchmark(benchmark)
        fill_close_pairs(self._loader, subsets)
        fill_review(self._loader, self._decisions)
        for table_name, role, table in COPIED:
            for partition in self._lake.partitions(table_name):
                self._loader.copy(self._lake.require(table_name, partition), role, table)
        # After the findings, of which rows have excerpts.
        curated = self._lake.manifest(LakeTable.CURATED_ROWS, CORPUS_PARTITION)
        for subset in subsets:
            fill_rows(self._loader, subset, decided=curated is not None and subset in curated.facts["subsets"])
        with self._loader.transaction():
            for row in published_scores().to_pylist():
                self._loader.insert(schema.DIVERSITY_PUBLISHED, row)
            self._fill_provenance()
            self._fill_skipped(subsets)
        fill_history(self._loader, self._published_at, self._publication.product_version)
        return self._loader.expected

    def _fill_meta(self) -> None:
        self._loader.insert(
            schema.META,
            {
                "schema_version": schema.SCHEMA_VERSION,
                "product_version": self._publication.product_version,
                "source": self._publication.source,
                "settings": json.dumps(dict(self._publication.settings), sort_keys=True),
                "published_at": self._published_at,
                "lake_format_version": self._publication.lake_format_version,
            },
        )

    def _fill_skipped(self, subsets: list[str]) -> None:
        for group in self._publication.skipped:
            example = group.problem or group.examples[0]
            files = {"folder": group.folder, "ending": group.ending, "kind": group.kind, "files": group.files}
            self._loader.insert(schema.SKIPPED_FILES, {**files, "example": example})
        for subset in subsets:
            # Lists of images that older versions wrote do not have it.
            unused = self._lake.require(LakeTable.SUBSET_IMAGES, subset).facts.get("columns_not_used", {})
            for column, reason in unused.items():
                self._loader.insert(
                    schema.UNUSED_COLUMNS, {"subset": subset, "column_name": column, "reason": reason or None}
                )

    def _fill_subset(self, subset: str) -> None:
        images = self._lake.require(LakeTable.SUBSET_IMAGES, subset)
        quality = self._lake.manifest(LakeTable.QUALITY_ROWS, subset)
        if quality and not is_current(self._lake, quality):
            quality = None
        embeddings = self._lake.manifest(LakeTable.SSCD_EMBEDDINGS, subset)
        facts = images.facts
        self._loader.insert(
            schema.SUBSETS,
            {
                "subset": subset,
                "category": self._category(subset),
                "rows": facts["rows"],
                "rows_passing_quality": quality.facts["rows_kept"] if quality else None,
                "images": facts["images"],
                "images_unique": facts["images_unique"],
                "images_unreadable": facts["images_unreadable"],
                "source_revision": images.source_revision,
                "model_id": embeddings.model_id if embeddings else None,
                "materialized_at": images.materialized_at,
            },
        )
        self._fill_images(images)
        if quality:
            self._fill_quality(quality)
        for table_name, role, table in COPIED_BY_SUBSET:
            manifest = self._lake.manifest(table_name, subset)
            if manifest and self._is_published(manifest):
                self._loader.copy(manifest, role, table)
        text_quality.fill_quantiles(self._loader, subset, "images")
        if self._lake.manifest(LakeTable.TEXT_QUALITY, subset):
            text_quality.fill_quantiles(self._loader, subset, "text_quality")
        contamination = self._lake.manifest(LakeTable.CONTAMINATION, subset)
        if contamination and contamination.files("pairs"):
            fill_contamination_pairs(self._loader, images, contamination)

    def _is_published(self, manifest: Manifest) -> bool:
        """Return whether the rows of a table are those of the subset's images, found by the present settings.

        Only tables that runs may leave out can be older: the others are made again whenever the subset is.
        """
        if manifest.table in ON_REQUEST | NEEDS_OCR | NEEDS_CLIP and not is_current(self._lake, manifest):
            return False
        if manifest.table != LakeTable.IMAGE_LISTED_WORDS:
            return True
        # The words of texts may have been found with another list since then: one summary has both.
        of_texts = self._lake.manifest(LakeTable.LISTED_WORDS, manifest.partition)
        return of_texts is not None and of_texts.settings["words"] == manifest.settings["words"]

    def _fill_benchmark(self, benchmark: str) -> None:
        images = self._lake.require(LakeTable.BENCHMARK_IMAGES, benchmark)
        names = ("rows", "images", "images_unique", "images_unreadable")
        self._loader.insert(
            schema.BENCHMARKS,
            {
                "benchmark": benchmark,
                **{name: images.facts[name] for name in names},
                "source_revision": images.source_revision,
                "materialized_at": images.materialized_at,
            },
        )

    def _fill_images(self, images: Manifest) -> None:
        nearest = self._lake.manifest(LakeTable.NEAR_DUPLICATES, images.partition)
        counted = self._lake.read(nearest, "counts") if nearest else pa.table({"image_id": pa.array([], pa.string())})
        numbers = ["background_similarity", *(neighbors_column(name) for name in NAMED_THRESHOLDS)]
        made = {
            "subset": "$subset",
            "aspect_ratio": "CASE WHEN status = 'ok' THEN width / height END",
            **ISSUE_VALUES,
            **{name: f"c.{name}" if name in counted.column_names else "NULL" for name in numbers},
        }
        names = [column.name for column in schema.IMAGES.columns]
        self._loader.require_columns(images, "rows", {name for name in names if name not in made} | {"pdq"})
        sizes = self._lake.read(images, columns=["width", "height"], where=pc.field("status") == "ok")
        with self._loader.registered(listed=self._loader.stream(images, "rows"), counted=counted, sizes=sizes):
            self._loader.connection.execute(
                f"""INSERT INTO images
                SELECT {", ".join(made.get(name, f'i."{name}"') for name in names)}
                FROM listed i CROSS JOIN ({size_bounds("sizes")})
                    LEFT JOIN counted c ON c.image_id = i.image_id AND i.status = 'ok'
                ORDER BY i."row", i.image_index""",
                {"subset": images.partition},
            )
        self._loader.expect("images", images.rows("rows"))

    def _fill_quality(self, quality: Manifest) -> None:
        """Add up the histograms of all shards."""
        histogram = self._lake.read(quality, "histogram")
        with self._loader.registered(histogram=histogram):
            self._loader.connection.execute(
                """INSERT INTO quality SELECT $subset, criterion, rating, sum(turns) FROM histogram
                GROUP BY criterion, rating ORDER BY criterion, rating""",
                {"subset": quality.partition},
            )
        self._loader.expect("quality", histogram.group_by(["criterion", "rating"]).aggregate([]).num_rows)

    def _fill_provenance(self) -> None:
        for table in self._lake.tables():
            if table == LakeTable.PUBLICATIONS:
                continue
            for partition in self._lake.partitions(table):
                manifest = self._lake.require(table, partition)
                self._loader.insert(
                    schema.PROVENANCE,
                    {
                        "table_name": table,
                        "partition": partition,
                        "model_id": manifest.model_id,
                        "source_revision": manifest.source_revision,
                        "settings": json.dumps(manifest.settings, sort_keys=True),
                        "code_version": manifest.code_version,
                        "run_id": manifest.run_id,
                        "materialized_at": manifest.materialized_at,
                    },
                )
