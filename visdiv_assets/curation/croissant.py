"""Describe an export in Croissant, the metadata format of MLCommons for datasets (version 1.0)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.types as pt

from visdiv_assets.curation.dataset_card import folder_name
from visdiv_assets.sources.conform import is_list

CROISSANT_FILE = "croissant.json"
CONFORMS_TO = "http://mlcommons.org/croissant/1.0"

#: The context that the specification prescribes.
_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}


def croissant(
    name: str, description: str, schemas: Mapping[str, pa.Schema], *, license_name: str | None, published: str
) -> dict[str, Any]:
    """Return the metadata of an export as JSON-LD.

    Args:
        name: of the dataset.
        description: what it is and what is known of it, in Markdown.
        schemas: by subset, the schema of its files; a subset without files is left out.
        license_name: license of the source; None if it is not known.
        published: date as YYYY-MM-DD; empty if it is not known.
    """
    known = {"license": license_name, "datePublished": published}
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": name,
        "description": description,
        **{key: value for key, value in known.items() if value},
        "distribution": [_files(subset) for subset in schemas],
        "recordSet": [_records(subset, schema) for subset, schema in schemas.items()],
    }


def read_schemas(folder: Path, subsets: Sequence[str]) -> dict[str, pa.Schema]:
    """Return the schema of the first file of each subset of an export that has one.

    Args:
        folder: of the export.
        subsets: their names.
    """
    import pyarrow.parquet as pq

    first = {subset: min((folder / folder_name(subset)).glob("*.parquet"), default=None) for subset in subsets}
    return {subset: pq.read_schema(path) for subset, path in first.items() if path is not None}


def _identifier(*parts: str) -> str:
    """Return an identifier in a JSON-LD document, by the names of what it identifies."""
    return "/".join(quote(part, safe="") for part in parts)


def _files(subset: str) -> dict[str, Any]:
    folder = folder_name(subset)
    return {
        "@type": "cr:FileSet",
        "@id": _identifier("files", folder),
        "name": _identifier("files", folder),
        "description": f"The Parquet files of the subset {subset}.",
        "encodingFormat": "application/x-parquet",
        "includes": f"{folder}/*.parquet",
    }


def _records(subset: str, schema: pa.Schema) -> dict[str, Any]:
    folder = folder_name(subset)
    found = [_field(subset, column) for column in schema]
    return {
        "@type": "cr:RecordSet",
        "@id": _identifier(folder),
        "name": _identifier(folder),
        "description": f"The rows of the subset {subset}.",
        "field": [field for field in found if field is not None],
    }


def _field(subset: str, column: pa.Field) -> dict[str, Any] | None:
    """Return the field of a column; None if Croissant has no type for it."""
    repeated, kind = (True, column.type.value_type) if is_list(column.type) else (False, column.type)
    source: dict[str, Any] = {
        "fileSet": {"@id": _identifier("files", folder_name(subset))},
        "extract": {"column": column.name},
    }
    described = {
        "@type": "cr:Field",
        "@id": _identifier(folder_name(subset), column.name),
        "name": column.name,
        **({"repeated": True} if repeated else {}),
    }
    if _is_image(kind):
        source["transform"] = {"jsonPath": "$[*].bytes" if repeated else "bytes"}
        return {**described, "dataType": "sc:ImageObject", "source": source}
    if pt.is_struct(kind):
        parts = [
            {
                "@type": "cr:Field",
                "@id": _identifier(folder_name(subset), column.name, part.name),
                "name": part.name,
                "dataType": _type_of(part.type),
                "source": {**source, "transform": {"jsonPath": f"$[*].{part.name}" if repeated else part.name}},
            }
            for part in kind
            if _type_of(part.type)
        ]
        return {**described, "subField": parts} if parts else None
    return {**described, "dataType": _type_of(kind), "source": source} if _type_of(kind) else None


def _is_image(kind: pa.DataType) -> bool:
    return pt.is_struct(kind) and sorted(part.name for part in kind) in (["bytes"], ["bytes", "path"])


def _type_of(kind: pa.DataType) -> str | None:
    holds = {
        "sc:Text": pt.is_string(kind) or pt.is_large_string(kind),
        "sc:Integer": pt.is_integer(kind),
        "sc:Float": pt.is_floating(kind),
        "sc:Boolean": pt.is_boolean(kind),
        "sc:Date": pt.is_date(kind) or pt.is_timestamp(kind),
    }
    return next((name for name, held in holds.items() if held), None)
