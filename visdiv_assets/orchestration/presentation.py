"""What the UI says of an asset beside its docstring: owner, tags, its columns, and where its findings can be read.

Belongs here: what concerns the UI alone. Does not: what an asset does.
"""

from collections.abc import Iterable
from typing import Any

import dagster as dg

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.publishing.warehouse.columns import Table
from visdiv_assets.publishing.warehouse.schema import TABLES
from visdiv_assets.sources import CRITERIA

OWNERS = ("team:visdiv",)

#: Tables of the DuckDB file that an asset's findings are in.
TABLES_OF: dict[str, tuple[str, ...]] = {
    LakeTable.SUBSET_IMAGES: ("images", "subsets"),
    LakeTable.QUALITY_ROWS: ("quality",),
    LakeTable.NEAR_DUPLICATES: ("close_pairs",),
    LakeTable.VERIFIED_DUPLICATES: ("close_pairs",),
    LakeTable.CROSS_SUBSET_DUPLICATES: ("close_pairs", "subset_overlap"),
    LakeTable.VERIFIED_CROSS_SUBSET: ("close_pairs",),
    LakeTable.CONTAMINATION: ("contamination_pairs", "contamination_rates"),
    LakeTable.VERIFIED_CONTAMINATION: ("contamination_pairs", "contamination_rates"),
    LakeTable.TEXT_CONTAMINATION: ("text_overlaps", "text_contamination_rates"),
    LakeTable.SUBSET_DIVERSITY: ("diversity",),
    LakeTable.RAREFIED_DIVERSITY: ("diversity_rarefied",),
    LakeTable.CORPUS_DIVERSITY: ("diversity",),
    LakeTable.ALIGNMENT: (LakeTable.ALIGNMENT, "alignment_summary"),
    LakeTable.CLIP_NEAR_DUPLICATES: ("clip_pairs",),
    LakeTable.CALIBRATION: ("calibration",),
    LakeTable.MAPS: ("map_points",),
    LakeTable.SELECTION_SCORES: ("selection_scores",),
    LakeTable.DUPLICATE_CLUSTERS: ("duplicate_clusters", "cluster_summary", "component_sizes"),
    LakeTable.CURATED_ROWS: ("dropped_rows",),
}

#: The asset that draws an asset's findings as pages.
REPORT_OF: dict[str, str] = {
    LakeTable.NEAR_DUPLICATES: LakeTable.DUPLICATES_REPORT,
    LakeTable.VERIFIED_DUPLICATES: LakeTable.DUPLICATES_REPORT,
    LakeTable.CONTAMINATION: LakeTable.LEAK_REPORTS,
    LakeTable.VERIFIED_CONTAMINATION: LakeTable.LEAK_REPORTS,
}

#: Assets that are not in the DuckDB file but have columns of a table that is.
_COLUMNS_LIKE: dict[str, tuple[str, ...]] = {
    LakeTable.BENCHMARK_IMAGES: ("images",),
    LakeTable.BENCHMARK_EMBEDDINGS: ("images",),
    LakeTable.SSCD_EMBEDDINGS: ("images",),
    LakeTable.CLIP_IMAGE_EMBEDDINGS: ("images",),
}

#: Columns of the lake that no table of the DuckDB file has, or has with another meaning.
_COLUMNS_OF_THE_LAKE = {
    "pdq": "PDQ hashes of the image, 32 bytes each: as it is, turned by quarters, and mirrored; NULL where it could "
    "not be decoded.",
    "text_id": "First bytes of the SHA-256 of the text, in hex; equal for equal texts.",
    "tokens": "Length of the text in the model's tokens.",
    "truncated": "Whether the text is longer than the model takes.",
    "verified": "True if the pair is confirmed, false if it is rejected; NULL: not compared.",
}
_COLUMNS_OF_QUALITY = {
    "row": "Row of the subset, from 0 across its shards in file-name order.",
    "turns": "Turns (a question and its answer) of the row.",
    "turns_kept": "Turns that reach every threshold.",
    "kept": "Whether a turn of the row is left.",
    "rating": "Mean of all ratings of the row; NULL where there is none.",
}

_Origins = tuple[tuple[str, str], ...]


def _pair_of(embeddings: str) -> dict[str, _Origins]:
    return dict.fromkeys(("image_id_a", "image_id_b"), ((embeddings, "image_id"),))


_VERIFIED_PAIR: dict[str, _Origins] = {
    **_pair_of(LakeTable.SSCD_EMBEDDINGS),
    "pdq_distance": ((LakeTable.SUBSET_IMAGES, "pdq"),),
}
_LEAK: dict[str, _Origins] = {
    "image_id": ((LakeTable.SSCD_EMBEDDINGS, "image_id"),),
    "benchmark_row": ((LakeTable.BENCHMARK_IMAGES, "row"),),
    "benchmark_image": ((LakeTable.BENCHMARK_IMAGES, "image_index"),),
    "benchmark_image_id": ((LakeTable.BENCHMARK_EMBEDDINGS, "image_id"),),
    "benchmark_positions": ((LakeTable.BENCHMARK_IMAGES, "image_id"),),
    "low_information": ((LakeTable.SUBSET_IMAGES, "low_information"), (LakeTable.BENCHMARK_IMAGES, "low_information")),
}

#: Columns and the columns that they are made from. What is made of vectors, texts or pixels has no column as origin.
LINEAGE: dict[str, dict[str, _Origins]] = {
    LakeTable.QUALITY_ROWS: {"row": ((LakeTable.SUBSET_IMAGES, "row"),)},
    LakeTable.SSCD_EMBEDDINGS: {"image_id": ((LakeTable.SUBSET_IMAGES, "image_id"),)},
    LakeTable.CLIP_IMAGE_EMBEDDINGS: {"image_id": ((LakeTable.SUBSET_IMAGES, "image_id"),)},
    LakeTable.BENCHMARK_EMBEDDINGS: {"image_id": ((LakeTable.BENCHMARK_IMAGES, "image_id"),)},
    LakeTable.NEAR_DUPLICATES: _pair_of(LakeTable.SSCD_EMBEDDINGS),
    LakeTable.VERIFIED_DUPLICATES: _VERIFIED_PAIR,
    LakeTable.CROSS_SUBSET_DUPLICATES: _pair_of(LakeTable.SSCD_EMBEDDINGS),
    LakeTable.VERIFIED_CROSS_SUBSET: _VERIFIED_PAIR,
    LakeTable.CLIP_NEAR_DUPLICATES: _pair_of(LakeTable.CLIP_IMAGE_EMBEDDINGS),
    LakeTable.CONTAMINATION: _LEAK,
    LakeTable.VERIFIED_CONTAMINATION: {
        **_LEAK,
        "pdq_distance": ((LakeTable.SUBSET_IMAGES, "pdq"), (LakeTable.BENCHMARK_IMAGES, "pdq")),
    },
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
    },
}

_TABLES: dict[str, Table] = {table.name: table for table in TABLES}


def with_presentation(assets: Iterable[object]) -> list[Any]:
    """All assets with owners, tags, described columns, and links to their tables and reports; observed ones as is."""
    return [asset.map_asset_specs(_presented) if isinstance(asset, dg.AssetsDefinition) else asset for asset in assets]


def column_lineage(asset: str) -> dict[str, dg.TableColumnLineage]:
    """Metadata of a materialization that tells the UI what each column is made from; empty for assets without."""
    origins = LINEAGE.get(asset)
    if not origins:
        return {}
    deps = {
        column: [dg.TableColumnDep(asset_key=dg.AssetKey(origin), column_name=name) for origin, name in found]
        for column, found in origins.items()
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(deps_by_column=deps)}


def _presented(spec: dg.AssetSpec) -> dg.AssetSpec:
    return spec.replace_attributes(
        owners=list(OWNERS), tags={**spec.tags, **_tags(spec)}, metadata={**spec.metadata, **_metadata(spec)}
    )


def _tags(spec: dg.AssetSpec) -> dict[str, str]:
    """Tags by which assets can be found: what a partition of it is, and what it needs."""
    partitions = spec.partitions_def
    one = partitions.name if isinstance(partitions, dg.DynamicPartitionsDefinition) else None
    name = spec.key.to_user_string()
    tags = {"visdiv/of": one or "corpus"}
    if name.startswith("clip_") or name in ("alignment", LakeTable.SELECTION_SCORES):
        tags["visdiv/needs"] = "clip"
    if name in (LakeTable.CALIBRATION, LakeTable.MAPS):
        tags["visdiv/launch"] = "by_hand"
    return tags


def _metadata(spec: dg.AssetSpec) -> dict[str, Any]:
    name = spec.key.to_user_string()
    tables = TABLES_OF.get(name, ())
    metadata: dict[str, Any] = {}
    schema = spec.metadata.get("dagster/column_schema")
    if schema is not None:
        metadata["dagster/column_schema"] = _described(name, schema)
    if tables:
        lines = (f'- `visdiv query "FROM {table}"`: {_TABLES[table].comment}' for table in tables)
        metadata["tables"] = dg.MetadataValue.md("\n".join(lines))
        metadata["published_in"] = dg.MetadataValue.asset(dg.AssetKey("warehouse"))
    if name in REPORT_OF:
        metadata["report"] = dg.MetadataValue.asset(dg.AssetKey(REPORT_OF[name]))
    return metadata


def _described(name: str, schema: Any) -> dg.TableSchema:
    """The columns with what they hold and what they are made from, which Dagster's open-source UI shows only so."""
    columns = schema.value.columns if isinstance(schema, dg.TableSchemaMetadataValue) else schema.columns
    comments = _comments(name)
    described = []
    for column in columns:
        origins = [f"{asset}.{origin}" for asset, origin in LINEAGE.get(name, {}).get(column.name, ())]
        sentences = [comments.get(column.name, ""), f"Made from {', '.join(origins)}." if origins else ""]
        described.append(dg.TableColumn(column.name, column.type, " ".join(filter(None, sentences))))
    return dg.TableSchema(columns=described)


def _comments(name: str) -> dict[str, str]:
    """What the columns of an asset hold; the first table that has a column speaks for it."""
    if name == LakeTable.QUALITY_ROWS:
        return _COLUMNS_OF_QUALITY | {
            f"turns_dropped_by_{criterion}": f"Turns whose rating of {criterion} is below its threshold."
            for criterion in CRITERIA
        }
    comments = dict(_COLUMNS_OF_THE_LAKE)
    for table in reversed(TABLES_OF.get(name) or _COLUMNS_LIKE.get(name, ())):
        comments |= {column.stored_name: column.comment for column in _TABLES[table].columns}
    return comments
