"""Fill each table of the DuckDB file from the lake."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import CORPUS_PARTITION, LakeTable, remedy
from visdiv_assets.diversity.published import published_scores
from visdiv_assets.duplicates.pair_verification import read_pairs
from visdiv_assets.duplicates.thresholds import NAMED_THRESHOLDS
from visdiv_assets.errors import StaleError
from visdiv_assets.publishing.warehouse import clip, schema, texts
from visdiv_assets.publishing.warehouse.columns import VERDICT_OF_VERIFIED, VERDICT_TYPE, Table
from visdiv_assets.publishing.warehouse.duplicates import CLOSE_PAIR_POSITIONS_STATEMENT, DUPLICATES_STATEMENT
from visdiv_assets.publishing.warehouse.image_issues import IMAGE_ISSUES_STATEMENT, ISSUES_OF_IMAGE, SIZE_BOUNDS
from visdiv_assets.publishing.warehouse.images import neighbors_column
from visdiv_assets.publishing.warehouse.publication import Publication
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
    (LakeTable.CALIBRATION, "rates", schema.CALIBRATION),
    (LakeTable.ALIGNMENT, "rows", clip.ALIGNMENT),
    (LakeTable.ALIGNMENT, "summary", clip.ALIGNMENT_SUMMARY),
    (LakeTable.CLIP_NEAR_DUPLICATES, "pairs", clip.CLIP_PAIRS),
    (LakeTable.MAPS, "points", clip.MAP_POINTS),
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

#: Columns of the lake that verification adds to a pair, and their types.
_VERDICT = ("verified", "confidence", "evidence", "reason", "overlap", "agreement", "transform", "pdq_distance")
_VERDICT_TYPES = ("BOOLEAN", "FLOAT", "VARCHAR", "VARCHAR", "FLOAT", "FLOAT", "FLOAT[]", "SMALLINT")


class Filler:
    """Fills the tables of an empty DuckDB file, and counts in the lake how many rows each should get."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        lake: Lake,
        category: Callable[[str], str | None],
        publication: Publication,
    ) -> None:
        """Fill through an open connection.

        Args:
            connection: to the empty file.
            lake: where the rows come from.
            category: returns the category of a subset.
            publication: the content of the table `meta`.
        """
        self._connection = connection
        self._lake = lake
        self._category = category
        self._publication = publication
        self._expected = dict.fromkeys((table.name for table in schema.TABLES), 0)

    def fill(self) -> dict[str, int]:
        """Create and fill all tables and views, with comments.

        Returns:
            by table, the number of rows that the lake holds for it.
        """
        for table in schema.TABLES:
            self._connection.execute(table.create_statement())
        self._fill_meta()
        subsets = self._lake.partitions(LakeTable.SUBSET_IMAGES)
        for subset in subsets:
            self._fill_subset(subset)
        self._fill_close_pairs(subsets)
        for table_name, role, table in COPIED:
            for partition in self._lake.partitions(table_name):
                self._copy(self._lake.require(table_name, partition), role, table)
        for row in published_scores().to_pylist():
            self._insert(schema.DIVERSITY_PUBLISHED, row)
        self._fill_provenance()
        views = (
            CLOSE_PAIR_POSITIONS_STATEMENT,
            DUPLICATES_STATEMENT,
            IMAGE_ISSUES_STATEMENT,
            texts.TEXT_SUMMARY_STATEMENT,
        )
        for statement in views:
            self._connection.execute(statement)
        for kind, tables in (("TABLE", schema.TABLES), ("VIEW", schema.VIEWS)):
            for table in tables:
                for statement in table.comment_statements(kind):
                    self._connection.execute(statement)
        return self._expected

    def _fill_meta(self) -> None:
        self._insert(
            schema.META,
            {
                "schema_version": schema.SCHEMA_VERSION,
                "product_version": self._publication.product_version,
                "source": self._publication.source,
                "settings": json.dumps(dict(self._publication.settings), sort_keys=True),
                "published_at": datetime.now(UTC).replace(tzinfo=None),
                "lake_format_version": self._publication.lake_format_version,
            },
        )

    def _fill_subset(self, subset: str) -> None:
        images = self._lake.require(LakeTable.SUBSET_IMAGES, subset)
        quality = self._lake.manifest(LakeTable.QUALITY_ROWS, subset)
        embeddings = self._lake.manifest(LakeTable.SSCD_EMBEDDINGS, subset)
        facts = images.facts
        self._insert(
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
                "materialized_at": _timestamp(images),
            },
        )
        self._fill_images(images)
        if quality:
            self._fill_quality(quality)
        for table_name, role, table in COPIED_BY_SUBSET:
            manifest = self._lake.manifest(table_name, subset)
            if manifest:
                self._copy(manifest, role, table)
        contamination = self._lake.manifest(LakeTable.CONTAMINATION, subset)
        if contamination and contamination.files("pairs"):
            self._fill_contamination_pairs(images, contamination)

    def _fill_images(self, images: Manifest) -> None:
        nearest = self._lake.manifest(LakeTable.NEAR_DUPLICATES, images.partition)
        counted = self._lake.read(nearest, "counts") if nearest else pa.table({"image_id": pa.array([], pa.string())})
        numbers = ["background_similarity", *(neighbors_column(name) for name in NAMED_THRESHOLDS)]
        made = {
            "subset": "$subset",
            "aspect_ratio": "CASE WHEN status = 'ok' THEN width / height END",
            "quality_issues": f"CASE WHEN status = 'ok' THEN {ISSUES_OF_IMAGE} END",
            **{name: f"c.{name}" if name in counted.column_names else "NULL" for name in numbers},
        }
        names = [column.name for column in schema.IMAGES.columns]
        self._require_columns(images, "rows", {name for name in names if name not in made} | {"pdq"})
        sizes = self._lake.read(images, columns=["width", "height"], where=pc.field("status") == "ok")
        with self._registered(listed=self._stream(images, "rows"), counted=counted, sizes=sizes):
            self._connection.execute(
                f"""INSERT INTO images
                SELECT {", ".join(made.get(name, f'i."{name}"') for name in names)}
                FROM listed i CROSS JOIN ({SIZE_BOUNDS})
                    LEFT JOIN counted c ON c.image_id = i.image_id AND i.status = 'ok'
                ORDER BY i."row", i.image_index""",
                {"subset": images.partition},
            )
        self._expected["images"] += images.rows("rows")

    def _fill_quality(self, quality: Manifest) -> None:
        """Add up the histograms of all shards."""
        histogram = self._lake.read(quality, "histogram")
        with self._registered(histogram=histogram):
            self._connection.execute(
                """INSERT INTO quality SELECT $subset, criterion, rating, sum(turns) FROM histogram
                GROUP BY criterion, rating ORDER BY criterion, rating""",
                {"subset": quality.partition},
            )
        self._expected["quality"] += histogram.group_by(["criterion", "rating"]).aggregate([]).num_rows

    def _fill_contamination_pairs(self, images: Manifest, contamination: Manifest) -> None:
        """List the pairs of images at every position of the subset's image."""
        verified = self._lake.manifest(LakeTable.VERIFIED_CONTAMINATION, images.partition)
        found = self._lake.read(contamination, "pairs")
        if verified and verified.files("pairs"):
            compared = read_pairs(self._lake, verified, [*found.schema.names, *_VERDICT])
        else:
            compared = found.slice(0, 0)
            for name in _VERDICT:
                compared = compared.append_column(name, pa.array([], pa.null()))
        parameters = {"subset": images.partition, "model_id": contamination.model_id}
        with self._registered(listed=self._stream(images, "rows"), found=found, compared=compared):
            self._connection.execute(
                f"""CREATE TEMP TABLE contaminated AS
                SELECT {_either("f", "c", found.schema.names)},
                    {", ".join(f"c.{name}" for name in _VERDICT)}
                FROM found f FULL JOIN compared c USING (image_id, benchmark, benchmark_image_id)
                WHERE f.image_id IS NOT NULL OR c.verified"""
            )
            self._connection.execute(
                f"""INSERT INTO contamination_pairs
                SELECT $subset, i."row", i.image_index, p.image_id, p.benchmark, p.benchmark_row, p.benchmark_image,
                    p.similarity, {VERDICT_OF_VERIFIED}, p.confidence, p.evidence, p.similarity_normalized,
                    p.low_information, p.benchmark_image_id, p.benchmark_positions, $model_id,
                    {", ".join(f"p.{name}" for name in _VERDICT[3:])}
                FROM contaminated p JOIN listed i ON i.image_id = p.image_id AND i.status = 'ok'
                ORDER BY i."row", i.image_index, p.benchmark, p.benchmark_row, p.benchmark_image""",
                parameters,
            )
        # Counted in the lake, not in what was just written, so that a lost pair makes the counts differ.
        key = ["image_id", "benchmark", "benchmark_image_id"]
        confirmed = compared.filter(pc.equal(compared["verified"], True))
        pairs = pa.concat_tables([found.select(key), confirmed.select(key)]).group_by(key).aggregate([])
        listed = self._lake.read(images, columns=["image_id", "status"]).filter(pc.field("status") == "ok")
        self._expected["contamination_pairs"] += pairs.join(listed, "image_id", join_type="inner").num_rows
        self._connection.execute("DROP TABLE contaminated")

    def _fill_close_pairs(self, subsets: list[str]) -> None:
        """List pairs within and between subsets; a pair found in several partitions is listed once.

        Compared pairs under the similarity floor are listed only if they are confirmed.
        """
        verdict = ", ".join(f"{name} {kind}" for name, kind in zip(_VERDICT, _VERDICT_TYPES, strict=True))
        self._connection.execute(
            f"""CREATE TEMP TABLE found (image_id_a VARCHAR, image_id_b VARCHAR, similarity FLOAT,
            similarity_normalized FLOAT, model_id VARCHAR, {verdict})"""
        )
        close = [self._lake.manifest(LakeTable.NEAR_DUPLICATES, subset) for subset in subsets]
        close.append(self._lake.manifest(LakeTable.CROSS_SUBSET_DUPLICATES, CORPUS_PARTITION))
        compared = [self._lake.manifest(LakeTable.VERIFIED_DUPLICATES, subset) for subset in subsets]
        compared.append(self._lake.manifest(LakeTable.VERIFIED_CROSS_SUBSET, CORPUS_PARTITION))
        stored = 0
        for manifests, columns in (
            (close, ("similarity_normalized",)),
            (compared, _VERDICT),
        ):
            for manifest in manifests:
                if manifest and manifest.files("pairs"):
                    pairs = self._stream(manifest, "pairs")
                    # Tables of older versions have no confidence.
                    filled = ", ".join(name for name in columns if name in pairs.schema.names)
                    with self._registered(pairs=pairs):
                        self._connection.execute(
                            f"""INSERT INTO found (image_id_a, image_id_b, similarity, model_id, {filled})
                            SELECT image_id_a, image_id_b, similarity, $model_id, {filled} FROM pairs""",
                            {"model_id": manifest.model_id},
                        )
                    stored += manifest.rows("pairs")
        # Of the verdicts of several subsets, the first in the order of the type counts; of these, the most confident.
        rank = "enum_code(verdict) * 2 - coalesce(confidence, 0)"
        fields = ", ".join(f"{name} := {name}" for name in _VERDICT[1:])
        self._connection.execute(
            f"""INSERT INTO close_pairs
            WITH flagged AS (SELECT DISTINCT image_id FROM images WHERE low_information),
            judged AS (SELECT *, ({VERDICT_OF_VERIFIED})::{VERDICT_TYPE} AS verdict FROM found),
            pairs AS (
                SELECT image_id_a, image_id_b, model_id, max(similarity) AS similarity, min(verdict) AS verdict,
                    max(similarity_normalized) AS normalized, arg_min(struct_pack({fields}), {rank}) AS v
                FROM judged GROUP BY image_id_a, image_id_b, model_id
                HAVING bool_or(verdict IS NULL) OR bool_or(verified)
            )
            SELECT image_id_a, image_id_b, similarity, model_id, verdict, v.confidence, v.evidence, normalized,
                image_id_a IN (FROM flagged) OR image_id_b IN (FROM flagged),
                {", ".join(f"v.{name}" for name in _VERDICT[3:])}
            FROM pairs ORDER BY model_id, image_id_a, image_id_b"""
        )
        row = self._connection.execute(
            """SELECT (SELECT count(*) FROM (SELECT DISTINCT image_id_a, image_id_b, model_id FROM found
                    WHERE verified OR (verified IS NULL AND evidence IS NULL))),
                (SELECT count(*) FROM found)"""
        ).fetchone()
        different, arrived = row or (0, 0)
        # A pair that was lost between the lake and `found` makes the count differ from the published one.
        self._expected["close_pairs"] = different + stored - arrived
        self._connection.execute("DROP TABLE found")

    def _fill_provenance(self) -> None:
        for table in self._lake.tables():
            for partition in self._lake.partitions(table):
                manifest = self._lake.require(table, partition)
                self._insert(
                    schema.PROVENANCE,
                    {
                        "table_name": table,
                        "partition": partition,
                        "model_id": manifest.model_id,
                        "source_revision": manifest.source_revision,
                        "settings": json.dumps(manifest.settings, sort_keys=True),
                        "code_version": manifest.code_version,
                        "run_id": manifest.run_id,
                        "materialized_at": _timestamp(manifest),
                    },
                )

    def _copy(self, manifest: Manifest, role: str, table: Table) -> None:
        """Insert the rows of a role; a column `subset` that they lack is the partition.

        Raises:
            StaleError: the columns of the lake are those of another version of this program.
        """
        if not manifest.files(role):
            return
        stored = self._require_columns(manifest, role, {column.stored_name for column in table.columns})
        columns = [column.name for column in table.columns]
        values = [column.expression() if column.stored_name in stored else "$subset" for column in table.columns]
        with self._registered(stored=self._stream(manifest, role)):
            self._connection.execute(
                f'INSERT INTO "{table.name}" ({_list(columns)}) SELECT {", ".join(values)} FROM stored',
                {"subset": manifest.partition} if "$subset" in values else {},
            )
        self._expected[table.name] += manifest.rows(role)

    def _require_columns(self, manifest: Manifest, role: str, expected: set[str]) -> list[str]:
        """Return the stored columns, which must be the expected ones, with or without `subset`."""
        stored: list[str] = self._lake.dataset(manifest, role).schema.names
        if set(stored) | {"subset"} != expected | {"subset"}:
            raise StaleError(
                f"{manifest.table} of {manifest.partition!r} was written by another version of this program, with the "
                f"columns {', '.join(stored)}: {remedy(manifest.table, manifest.partition)}"
            )
        return stored

    def _insert(self, table: Table, row: dict[str, object]) -> None:
        self._connection.execute(
            f'INSERT INTO "{table.name}" ({_list(list(row))}) VALUES ({", ".join("?" * len(row))})', list(row.values())
        )
        self._expected[table.name] += 1

    def _stream(self, manifest: Manifest, role: str) -> pa.RecordBatchReader:
        return self._lake.dataset(manifest, role).scanner().to_reader()

    @contextmanager
    def _registered(self, **views: pa.Table | pa.RecordBatchReader) -> Iterator[None]:
        for name, data in views.items():
            self._connection.register(name, data)
        yield
        for name in views:
            self._connection.unregister(name)


def _either(first: str, second: str, names: list[str]) -> str:
    """Return the columns of a full join, each from the side that has the row."""
    return ", ".join(f"coalesce({first}.{name}, {second}.{name}) AS {name}" for name in names)


def _list(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _timestamp(manifest: Manifest) -> str:
    """Return the time in UTC without an offset, as DuckDB's TIMESTAMP requires it."""
    return manifest.materialized_at.removesuffix("+00:00")
