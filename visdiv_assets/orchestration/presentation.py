"""The presentation of assets in the UI: owner, tags, described columns, and links to tables and reports.

Belongs here: what only the UI needs. Does not: what an asset does.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg

from visdiv_assets.corpus.tables import NEEDS_OCR, ON_REQUEST, LakeTable
from visdiv_assets.publishing.warehouse.columns import Table
from visdiv_assets.publishing.warehouse.schema import TABLES, VIEWS
from visdiv_assets.sources import CRITERIA

OWNERS = ("team:visdiv",)

#: Where `visdiv ui` serves the reports.
REPORTS = "/reports"

#: Tables of the DuckDB file with the findings of an asset.
TABLES_OF: dict[str, tuple[str, ...]] = {
    LakeTable.SUBSET_IMAGES: ("images", "image_issues", "subsets", "subset_summary", "unused_columns"),
    LakeTable.BENCHMARK_IMAGES: ("benchmarks", "benchmark_summary"),
    LakeTable.QUALITY_ROWS: ("quality",),
    LakeTable.JUDGE_RATINGS: ("judge_ratings", "judge_summary"),
    LakeTable.NEAR_DUPLICATES: ("close_pairs",),
    LakeTable.VERIFIED_DUPLICATES: ("close_pairs", "duplicates", "review_decisions", "review_precision"),
    LakeTable.CROSS_SUBSET_DUPLICATES: ("close_pairs", "subset_overlap"),
    LakeTable.VERIFIED_CROSS_SUBSET: ("close_pairs", "duplicates"),
    LakeTable.CONTAMINATION: ("contamination_pairs", "contamination_rates"),
    LakeTable.VERIFIED_CONTAMINATION: (
        "contamination_pairs",
        "contamination_rates",
        "contamination",
        "contamination_total",
        "review_decisions",
        "review_precision",
    ),
    LakeTable.TEXT_CONTAMINATION: ("text_overlaps", "text_contamination_rates"),
    LakeTable.TEXT_DUPLICATES: ("text_duplicate_summary", "text_groups", "text_near_duplicates", "repeated_turns"),
    LakeTable.TEXT_QUALITY: (
        "text_quality",
        "text_quality_summary",
        "quality_quantiles",
        "personal_data",
        "personal_data_summary",
    ),
    LakeTable.SUBSET_DIVERSITY: ("diversity",),
    LakeTable.RAREFIED_DIVERSITY: ("diversity_rarefied",),
    LakeTable.CORPUS_DIVERSITY: ("diversity",),
    LakeTable.LISTED_WORDS: ("listed_words", "listed_word_summary"),
    LakeTable.IMAGE_TYPES: ("image_types", "image_type_summary", "image_type_agreement"),
    LakeTable.CLIP_IMAGE_TAGS: (
        "inappropriate_images",
        "image_types",
        "inappropriate_image_summary",
        "image_type_summary",
        "image_type_agreement",
    ),
    LakeTable.ALIGNMENT: (LakeTable.ALIGNMENT, "alignment_summary"),
    LakeTable.CLIP_NEAR_DUPLICATES: ("clip_pairs", "clip_pair_summary"),
    LakeTable.CALIBRATION: ("calibration",),
    LakeTable.MAPS: ("map_points",),
    LakeTable.IMAGE_TEXTS: ("image_texts", "image_text_summary", "image_personal_data"),
    LakeTable.IMAGE_TEXT_LEAKS: ("image_text_leaks", "image_text_leak_rates", "image_text_leak_summary"),
    LakeTable.IMAGE_LISTED_WORDS: ("listed_words", "listed_word_summary"),
    LakeTable.MASKED_ALIGNMENT: (LakeTable.MASKED_ALIGNMENT, "masked_alignment_summary"),
    LakeTable.SELECTION_SCORES: ("selection_scores",),
    LakeTable.DUPLICATE_CLUSTERS: ("duplicate_clusters", "cluster_summary", "component_sizes"),
    LakeTable.CURATED_ROWS: ("dropped_rows", "rows"),
}

#: The asset that writes reports about the findings of an asset.
REPORT_OF: dict[str, str] = {
    LakeTable.NEAR_DUPLICATES: LakeTable.DUPLICATES_REPORT,
    LakeTable.VERIFIED_DUPLICATES: LakeTable.DUPLICATES_REPORT,
    LakeTable.CONTAMINATION: LakeTable.LEAK_REPORTS,
    LakeTable.VERIFIED_CONTAMINATION: LakeTable.LEAK_REPORTS,
}

#: Tables of the DuckDB file that describe the columns of an asset whose findings are not in it.
_COLUMNS_LIKE: dict[str, tuple[str, ...]] = dict.fromkeys(
    (
        LakeTable.BENCHMARK_IMAGES,
        LakeTable.SSCD_EMBEDDINGS,
        LakeTable.BENCHMARK_EMBEDDINGS,
        LakeTable.CLIP_IMAGE_EMBEDDINGS,
        LakeTable.SUBSET_REGIONS,
        LakeTable.BENCHMARK_REGIONS,
        LakeTable.SUBSET_THUMBNAILS,
        LakeTable.BENCHMARK_THUMBNAILS,
        LakeTable.SUBSET_FEATURES,
        LakeTable.BENCHMARK_FEATURES,
    ),
    ("images",),
)
_COLUMNS_LIKE[LakeTable.BENCHMARK_IMAGE_TEXTS] = ("image_texts",)

_ROW = "Row of the subset, from 0 across its shards in file-name order."

#: Columns of the lake that are not in the DuckDB file, or have another meaning there.
_LAKE_COLUMNS = {
    "pdq": "PDQ hashes of the image in 8 orientations (unchanged, rotated by 90 degrees, mirrored), 32 bytes each; "
    "NULL if it could not be decoded.",
    "text_id": "First bytes of the SHA-256 of the text, in hex; equal for equal texts.",
    "tokens": "Length of the text in tokens of the model.",
    "truncated": "True if the text is longer than the limit of the model.",
    "row": _ROW,
    "turn": "Turn of the row, from 0.",
    "user": "Question of the turn.",
    "assistant": "Answer of the turn.",
    "strings": "All strings of the row, in whatever columns they are; no images in base64.",
    **{f"{criterion}_ratings": f"Rating of the turn by {criterion}, 1 to 5; NULL without." for criterion in CRITERIA},
    "verified": "True if the pair is confirmed, false if it is rejected, NULL if it is undecided; see reason.",
}
_QUALITY_COLUMNS = {
    "row": _ROW,
    "turns": "Number of turns (a question and its answer) of the row.",
    "turns_kept": "Number of turns whose ratings reach every threshold.",
    "kept": "True if at least one turn of the row is kept.",
    "rating": "Mean of all ratings of the row; NULL without ratings.",
}

_Origins = tuple[tuple[str, str], ...]


def _pair_of(embeddings: str) -> dict[str, _Origins]:
    return dict.fromkeys(("image_id_a", "image_id_b"), ((embeddings, "image_id"),))


def _verified_pair(joined: str) -> dict[str, _Origins]:
    pair: dict[str, _Origins] = {name: ((joined, name),) for name in ("image_id_a", "image_id_b")}
    return {**pair, "pdq_distance": ((LakeTable.SUBSET_IMAGES, "pdq"),)}


_LEAK: dict[str, _Origins] = {
    "image_id": ((LakeTable.SSCD_EMBEDDINGS, "image_id"),),
    "benchmark_row": ((LakeTable.BENCHMARK_IMAGES, "row"),),
    "benchmark_image": ((LakeTable.BENCHMARK_IMAGES, "image_index"),),
    "benchmark_image_id": ((LakeTable.BENCHMARK_EMBEDDINGS, "image_id"),),
    "benchmark_positions": ((LakeTable.BENCHMARK_IMAGES, "image_id"),),
    "low_information": ((LakeTable.SUBSET_IMAGES, "low_information"), (LakeTable.BENCHMARK_IMAGES, "low_information")),
}

#: Columns, and the columns that they are made from. Columns computed from vectors, texts or pixels have no origin.
LINEAGE: dict[str, dict[str, _Origins]] = {
    LakeTable.QUALITY_ROWS: {"row": ((LakeTable.SUBSET_TURNS, "row"),)},
    LakeTable.TEXT_QUALITY: {"row": ((LakeTable.SUBSET_TURNS, "row"),), "turn": ((LakeTable.SUBSET_TURNS, "turn"),)},
    LakeTable.JUDGE_RATINGS: {name: ((LakeTable.SUBSET_TURNS, name),) for name in ("row", "turn")},
    **{
        table: {"image_id": ((LakeTable.SUBSET_IMAGES, "image_id"),)}
        for table in (
            LakeTable.SUBSET_THUMBNAILS,
            LakeTable.SUBSET_FEATURES,
            LakeTable.SUBSET_REGIONS,
            LakeTable.SSCD_EMBEDDINGS,
            LakeTable.CLIP_IMAGE_EMBEDDINGS,
        )
    },
    **{
        table: {"image_id": ((LakeTable.BENCHMARK_IMAGES, "image_id"),)}
        for table in (
            LakeTable.BENCHMARK_THUMBNAILS,
            LakeTable.BENCHMARK_FEATURES,
            LakeTable.BENCHMARK_REGIONS,
            LakeTable.BENCHMARK_EMBEDDINGS,
        )
    },
    LakeTable.SUBSET_TURNS: {"row": ((LakeTable.SUBSET_IMAGES, "row"),)},
    LakeTable.NEAR_DUPLICATES: _pair_of(LakeTable.SSCD_EMBEDDINGS),
    LakeTable.VERIFIED_DUPLICATES: _verified_pair(LakeTable.NEAR_DUPLICATES),
    LakeTable.CROSS_SUBSET_DUPLICATES: _pair_of(LakeTable.SSCD_EMBEDDINGS),
    LakeTable.VERIFIED_CROSS_SUBSET: _verified_pair(LakeTable.CROSS_SUBSET_DUPLICATES),
    LakeTable.CLIP_NEAR_DUPLICATES: _pair_of(LakeTable.CLIP_IMAGE_EMBEDDINGS),
    LakeTable.CONTAMINATION: _LEAK,
    LakeTable.VERIFIED_CONTAMINATION: {
        **{name: ((LakeTable.CONTAMINATION, name),) for name in _LEAK},
        "pdq_distance": ((LakeTable.SUBSET_IMAGES, "pdq"), (LakeTable.BENCHMARK_IMAGES, "pdq")),
    },
    LakeTable.IMAGE_TEXTS: {name: ((LakeTable.SUBSET_IMAGES, name),) for name in ("row", "image_index", "image_id")},
    LakeTable.BENCHMARK_IMAGE_TEXTS: {
        name: ((LakeTable.BENCHMARK_IMAGES, name),) for name in ("row", "image_index", "image_id")
    },
    LakeTable.IMAGE_TYPES: {name: ((LakeTable.SUBSET_IMAGES, name),) for name in ("row", "image_index", "image_id")},
    LakeTable.CLIP_IMAGE_TAGS: {
        name: ((LakeTable.SUBSET_IMAGES, name),) for name in ("row", "image_index", "image_id")
    },
    LakeTable.LISTED_WORDS: {name: ((LakeTable.SUBSET_TURNS, name),) for name in ("row", "turn")},
    LakeTable.IMAGE_LISTED_WORDS: {name: ((LakeTable.IMAGE_TEXTS, name),) for name in ("row", "image_index")},
    LakeTable.MASKED_ALIGNMENT: {name: ((LakeTable.IMAGE_TEXTS, name),) for name in ("row", "image_index", "image_id")},
    LakeTable.ALIGNMENT: {"row": ((LakeTable.SUBSET_IMAGES, "row"),), "images": ((LakeTable.SUBSET_IMAGES, "status"),)},
    LakeTable.SELECTION_SCORES: {
        "row": ((LakeTable.SUBSET_IMAGES, "row"),),
        "clip_score": ((LakeTable.ALIGNMENT, "clip_score_mean"),),
    },
    LakeTable.DUPLICATE_CLUSTERS: {
        "row": ((LakeTable.SUBSET_IMAGES, "row"),),
        "image_index": ((LakeTable.SUBSET_IMAGES, "image_index"),),
        "image_id": ((LakeTable.SUBSET_IMAGES, "image_id"),),
        "cluster_id": ((LakeTable.VERIFIED_DUPLICATES, "verified"), (LakeTable.VERIFIED_CROSS_SUBSET, "verified")),
        **{
            name: ((LakeTable.VERIFIED_DUPLICATES, name), (LakeTable.VERIFIED_CROSS_SUBSET, name))
            for name in ("similarity", "confidence", "evidence")
        },
        "keep": (
            (LakeTable.QUALITY_ROWS, "rating"),
            (LakeTable.VERIFIED_CONTAMINATION, "verified"),
            (LakeTable.SUBSET_IMAGES, "width"),
            (LakeTable.SUBSET_IMAGES, "height"),
            (LakeTable.SUBSET_IMAGES, "format"),
        ),
    },
    LakeTable.CURATED_ROWS: {
        "row": ((LakeTable.SUBSET_IMAGES, "row"),),
        "reason": (
            (LakeTable.SUBSET_IMAGES, "status"),
            (LakeTable.QUALITY_ROWS, "kept"),
            (LakeTable.VERIFIED_CONTAMINATION, "verified"),
            (LakeTable.DUPLICATE_CLUSTERS, "row_duplicate"),
        ),
        "witness_row": (
            (LakeTable.VERIFIED_CONTAMINATION, "benchmark_row"),
            (LakeTable.DUPLICATE_CLUSTERS, "keeper_row"),
        ),
        "witness_image": (
            (LakeTable.VERIFIED_CONTAMINATION, "benchmark_image"),
            (LakeTable.DUPLICATE_CLUSTERS, "keeper_image"),
        ),
        **{
            name: ((LakeTable.VERIFIED_CONTAMINATION, name), (LakeTable.DUPLICATE_CLUSTERS, name))
            for name in ("similarity", "confidence", "evidence")
        },
    },
}

_TABLES: dict[str, Table] = {table.name: table for table in (*TABLES, *VIEWS)}


def with_presentation(assets: Iterable[object]) -> list[Any]:
    """Add owners, tags, described columns, and links to tables and reports to all assets; keep source assets."""
    return [
        asset.map_asset_specs(_add_presentation) if isinstance(asset, dg.AssetsDefinition) else asset
        for asset in assets
    ]


def report_url(path: Path, folder: Path) -> str:
    """Return the address of a report in the folder of reports, on the server of `visdiv ui`."""
    return f"{REPORTS}/{quote(path.relative_to(folder).as_posix())}"


def report_metadata(path: Path, folder: Path) -> dict[str, dg.MetadataValue]:
    """Return metadata of a materialization that links to a report in the folder of reports."""
    return {"report": dg.MetadataValue.url(report_url(path, folder)), "report_file": dg.MetadataValue.path(path)}


def column_lineage(asset: str) -> dict[str, dg.TableColumnLineage]:
    """Return metadata of a materialization that gives the origin of each column; empty for assets without lineage."""
    origins = LINEAGE.get(asset)
    if not origins:
        return {}
    deps = {
        column: [dg.TableColumnDep(asset_key=dg.AssetKey(origin), column_name=name) for origin, name in found]
        for column, found in origins.items()
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(deps_by_column=deps)}


def _add_presentation(spec: dg.AssetSpec) -> dg.AssetSpec:
    return spec.replace_attributes(
        owners=list(OWNERS), tags={**spec.tags, **_tags(spec)}, metadata={**spec.metadata, **_metadata(spec)}
    )


def _tags(spec: dg.AssetSpec) -> dict[str, str]:
    """Return tags to search assets by: the kind of their partitions, and what they need."""
    partitions = spec.partitions_def
    kind = partitions.name if isinstance(partitions, dg.DynamicPartitionsDefinition) else None
    name = spec.key.to_user_string()
    tags = {"visdiv/of": kind or "corpus"}
    if name.startswith("clip_") or name in (LakeTable.ALIGNMENT, LakeTable.SELECTION_SCORES):
        tags["visdiv/needs"] = "clip"
    if name in NEEDS_OCR:
        tags["visdiv/needs"] = "ocr"
    if name in ON_REQUEST | NEEDS_OCR:
        tags["visdiv/launch"] = "by_hand"
    return tags


def _metadata(spec: dg.AssetSpec) -> dict[str, Any]:
    name = spec.key.to_user_string()
    tables = TABLES_OF.get(name, ())
    metadata: dict[str, Any] = {}
    schema = spec.metadata.get("dagster/column_schema")
    if schema is not None:
        metadata["dagster/column_schema"] = _describe_columns(name, schema)
    if tables:
        lines = (f'- `visdiv query "FROM {table}"`: {_TABLES[table].comment}' for table in tables)
        metadata["tables"] = dg.MetadataValue.md("\n".join(lines))
        metadata["published_in"] = dg.MetadataValue.asset(dg.AssetKey("warehouse"))
    if name in REPORT_OF:
        metadata["report"] = dg.MetadataValue.asset(dg.AssetKey(REPORT_OF[name]))
    return metadata


def _describe_columns(name: str, schema: Any) -> dg.TableSchema:
    """Return the columns with descriptions that include their origins, which open-source Dagster shows nowhere else."""
    columns = schema.value.columns if isinstance(schema, dg.TableSchemaMetadataValue) else schema.columns
    comments = _comments(name)
    described = []
    for column in columns:
        origins = [f"{asset}.{origin}" for asset, origin in LINEAGE.get(name, {}).get(column.name, ())]
        sentences = [comments.get(column.name, ""), f"Made from {', '.join(origins)}." if origins else ""]
        described.append(dg.TableColumn(column.name, column.type, " ".join(filter(None, sentences))))
    return dg.TableSchema(columns=described)


def _comments(name: str) -> dict[str, str]:
    """Return descriptions of the columns of an asset, each from the first of its tables that has the column."""
    if name == LakeTable.QUALITY_ROWS:
        return _QUALITY_COLUMNS | {
            f"turns_dropped_by_{criterion}": f"Number of turns whose {criterion} rating is below its threshold."
            for criterion in CRITERIA
        }
    comments = dict(_LAKE_COLUMNS)
    for table in reversed((*TABLES_OF.get(name, ()), *_COLUMNS_LIKE.get(name, ()))):
        comments |= {column.stored_name: column.comment for column in _TABLES[table].columns}
    return comments
