"""What the UI says of an asset beside its docstring: owner, tags, its columns, and where its findings can be read.

Belongs here: what concerns the UI alone. Does not: what an asset does.
"""

from collections.abc import Iterable
from typing import Any

import dagster as dg

from visdiv_assets.publishing.warehouse.columns import Table
from visdiv_assets.publishing.warehouse.schema import TABLES
from visdiv_assets.sources import CRITERIA

OWNERS = ("team:visdiv",)

#: Tables of the DuckDB file that an asset's findings are in.
TABLES_OF: dict[str, tuple[str, ...]] = {
    "subset_images": ("images", "subsets"),
    "quality_rows": ("quality",),
    "near_duplicates": ("duplicate_pairs",),
    "verified_duplicates": ("duplicate_pairs",),
    "cross_subset_duplicates": ("duplicate_pairs", "subset_overlap"),
    "verified_cross_subset": ("duplicate_pairs",),
    "contamination": ("contamination_pairs", "contamination_rates"),
    "verified_contamination": ("contamination_pairs", "contamination_rates"),
    "text_contamination": ("text_overlaps", "text_contamination_rates"),
    "subset_diversity": ("diversity",),
    "rarefied_diversity": ("diversity_rarefied",),
    "corpus_diversity": ("diversity",),
    "alignment": ("alignment", "alignment_summary"),
    "clip_near_duplicates": ("clip_pairs",),
    "calibration": ("calibration",),
    "maps": ("map_points",),
    "selection_scores": ("selection_scores",),
    "duplicate_clusters": ("duplicate_clusters", "cluster_summary", "cluster_sizes"),
    "curated_rows": ("dropped_rows",),
}

#: The asset that draws an asset's findings as pages.
REPORT_OF = {
    "near_duplicates": "duplicates_report",
    "verified_duplicates": "duplicates_report",
    "contamination": "leak_reports",
    "verified_contamination": "leak_reports",
}

#: Assets that are not in the DuckDB file but have columns of a table that is.
_COLUMNS_LIKE: dict[str, tuple[str, ...]] = {
    "benchmark_images": ("images",),
    "benchmark_embeddings": ("images",),
    "sscd_embeddings": ("images",),
    "clip_image_embeddings": ("images",),
}

#: Columns of the lake that no table of the DuckDB file has, or has with another meaning.
_COLUMNS_OF_THE_LAKE = {
    "pdq": "PDQ hashes of the image, 32 bytes each: as it is, turned by quarters, and mirrored; NULL where it could "
    "not be decoded.",
    "text_id": "First bytes of the SHA-256 of the text, in hex; equal for equal texts.",
    "tokens": "Length of the text in the model's tokens.",
    "truncated": "Whether the text is longer than the model takes.",
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
    **_pair_of("sscd_embeddings"),
    "pdq_distance": (("subset_images", "pdq"),),
}
_LEAK: dict[str, _Origins] = {
    "image_id": (("sscd_embeddings", "image_id"),),
    "benchmark_row": (("benchmark_images", "row"),),
    "benchmark_image": (("benchmark_images", "image_index"),),
    "benchmark_image_id": (("benchmark_embeddings", "image_id"),),
    "benchmark_positions": (("benchmark_images", "image_id"),),
    "low_information": (("subset_images", "low_information"), ("benchmark_images", "low_information")),
}

#: Columns and the columns that they are made from. What is made of vectors, texts or pixels has no column as origin.
LINEAGE: dict[str, dict[str, _Origins]] = {
    "quality_rows": {"row": (("subset_images", "row"),)},
    "sscd_embeddings": {"image_id": (("subset_images", "image_id"),)},
    "clip_image_embeddings": {"image_id": (("subset_images", "image_id"),)},
    "benchmark_embeddings": {"image_id": (("benchmark_images", "image_id"),)},
    "near_duplicates": _pair_of("sscd_embeddings"),
    "verified_duplicates": _VERIFIED_PAIR,
    "cross_subset_duplicates": _pair_of("sscd_embeddings"),
    "verified_cross_subset": _VERIFIED_PAIR,
    "clip_near_duplicates": _pair_of("clip_image_embeddings"),
    "contamination": _LEAK,
    "verified_contamination": {
        **_LEAK,
        "pdq_distance": (("subset_images", "pdq"), ("benchmark_images", "pdq")),
    },
    "alignment": {"row": (("subset_images", "row"),), "images": (("subset_images", "status"),)},
    "selection_scores": {
        "row": (("subset_images", "row"),),
        "clip_score": (("alignment", "clip_score_mean"),),
    },
    "duplicate_clusters": {
        "row": (("subset_images", "row"),),
        "image_index": (("subset_images", "image_index"),),
        "image_id": (("subset_images", "image_id"),),
        "cluster_id": (("verified_duplicates", "verified"), ("verified_cross_subset", "verified")),
        "keep": (
            ("quality_rows", "rating"),
            ("verified_contamination", "verified"),
            ("subset_images", "width"),
            ("subset_images", "height"),
            ("subset_images", "format"),
        ),
    },
    "curated_rows": {
        "row": (("subset_images", "row"),),
        "reason": (
            ("subset_images", "status"),
            ("quality_rows", "kept"),
            ("verified_contamination", "verified"),
            ("duplicate_clusters", "row_duplicate"),
        ),
        "witness_row": (("verified_contamination", "benchmark_row"), ("duplicate_clusters", "keeper_row")),
        "witness_image": (("verified_contamination", "benchmark_image"), ("duplicate_clusters", "keeper_image")),
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
    if name.startswith("clip_") or name in ("alignment", "selection_scores"):
        tags["visdiv/needs"] = "clip"
    if name in ("calibration", "maps"):
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
    if name == "quality_rows":
        return _COLUMNS_OF_QUALITY | {
            f"turns_dropped_by_{criterion}": f"Turns whose rating of {criterion} is below its threshold."
            for criterion in CRITERIA
        }
    comments = dict(_COLUMNS_OF_THE_LAKE)
    for table in reversed(TABLES_OF.get(name) or _COLUMNS_LIKE.get(name, ())):
        comments |= {column.name: column.comment for column in _TABLES[table].columns}
    return comments
