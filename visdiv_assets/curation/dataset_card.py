"""What the library `datasets` needs in order to load an export: names, the types of columns, and the card.

Checked with datasets 2.14, 3.6 and 5.2.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from visdiv_assets.sources.conform import empty, is_list
from visdiv_assets.sources.image_columns import IMAGES
from visdiv_assets.storage.files import escape

#: Characters that `datasets` refuses in a config's name, takes for wildcards in a path, or that mark an escape here.
_UNFIT = frozenset('<>:/\\|?*[]%"')

#: Files beside the subsets' folders, which no subset's folder may be named after.
_RESERVED = ("README.md", "dropped.parquet")

#: Arrow's names of simple types that `datasets` calls otherwise, and the others that all its versions know.
_RENAMED = {"halffloat": "float16", "float": "float32", "double": "float64"}
_SAME = {"null", "bool", "string", "large_string", "binary", "large_binary"} | {
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}


def is_plain(name: str) -> bool:
    """Whether a name may be a folder's or file's, a config's, and part of a pattern of files."""
    return name.isprintable() and not (_UNFIT & set(name) or name.startswith(".") or name != name.strip())


def folder_name(subset: str) -> str:
    """The folder of a subset, and its config: its name as published; where that cannot be, escaped (`a%2Fb`)."""
    if subset in _RESERVED:
        return f"%{ord(subset[0]):02X}{subset[1:]}"
    return subset if is_plain(subset) else escape(subset)


def with_features(schema: pa.Schema) -> pa.Schema:
    """The schema with metadata that make `datasets` decode the column `images`.

    Metadata that the file has for `datasets` stay as they are. Otherwise lists are written in the oldest form, which
    all versions read: `Sequence` turns lists of structs around, and versions before 4 do not know `List`. Columns that
    it cannot express are left to be guessed. Images in another type than the one `datasets` knows (as Polars writes
    them: 64-bit offsets) get that type, if only the type and no value changes; images that are not structs of bytes
    and path stay as they are, and are not decoded.

    Args:
        schema: of a shard as it is stored.
    """
    if b"huggingface" in (schema.metadata or {}):
        return schema
    if schema.names.count("images") == 1 and _only_typed_otherwise(schema.field("images").type):
        schema = schema.set(schema.get_field_index("images"), pa.field("images", IMAGES))
    features = {field.name: _feature(field.type) for field in schema}
    if schema.names.count("images") == 1 and schema.field("images").type == IMAGES:
        features["images"] = [{"_type": "Image"}]
    known = {name: feature for name, feature in features.items() if feature is not None}
    metadata = {"huggingface": json.dumps({"info": {"features": known}})}
    return schema.with_metadata({**(schema.metadata or {}), **metadata})


def render_card(origin: str, rows: Mapping[str, tuple[int, int]]) -> str:
    """The dataset card of an export.

    Args:
        origin: the source.
        rows: by subset: its rows, and those that are kept.
    """
    # `datasets` refuses a split without rows, so a config without any would only be in the way.
    left = [folder_name(subset) for subset, (_, kept) in rows.items() if kept]
    configs = [
        f"- config_name: {_quoted(name)}\n  data_files:\n  - split: train\n    path: {_quoted(f'{name}/*.parquet')}\n"
        for name in left
    ]
    head = ["---\n", "configs:\n", *configs, "---\n"] if configs else []
    all_rows, all_kept = (sum(counts[number] for counts in rows.values()) for number in (0, 1))
    origin = " ".join(origin.split())
    emptied = [_quoted(subset) for subset, (_, kept) in rows.items() if not kept]
    return "".join(
        [
            *head,
            f"# A clean copy of {origin}\n\n",
            f"Made with {_program()} from {origin}: "
            f"{all_kept} of {all_rows} rows in {len(rows)} subsets, unchanged and in their order.\n",
            "`dropped.parquet` lists the rows left out by their number in the source, each with the reason and, where "
            "there is one, the image that is its witness.\n",
            *([f"No row is left of {', '.join(emptied)}.\n"] if emptied else []),
        ]
    )


def _program() -> str:
    try:
        return f"visdiv-assets {importlib.metadata.version('visdiv-assets')}"
    except importlib.metadata.PackageNotFoundError:
        return "visdiv-assets"


def _quoted(text: str) -> str:
    """A string as YAML and JSON both write it."""
    return json.dumps(text, ensure_ascii=False)


def _only_typed_otherwise(kind: pa.DataType) -> bool:
    """Whether Arrow can cast the type to that of images, and nothing gets lost."""
    if not is_list(kind) or not pa.types.is_struct(kind.value_type):
        return False
    names = sorted(field.name for field in kind.value_type)
    if names not in (["bytes"], ["bytes", "path"]):
        return False
    try:
        empty(kind).cast(IMAGES)
    except pa.ArrowException:
        return False
    return True


def _feature(kind: pa.DataType) -> Any:
    """What `datasets` calls a type, None where some version has no word for it."""
    if pa.types.is_struct(kind):
        fields = {field.name: _feature(field.type) for field in kind}
        return None if None in fields.values() else fields
    if pa.types.is_list(kind):
        entry = _feature(kind.value_type)
        return None if entry is None else [entry]
    name = _RENAMED.get(str(kind), str(kind))
    return {"dtype": name, "_type": "Value"} if name in _SAME or name in _RENAMED.values() else None
