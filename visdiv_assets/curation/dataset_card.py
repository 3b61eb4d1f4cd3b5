"""Prepare an export for the library `datasets`: names of folders, features of columns, and the dataset card.

Tested with datasets 5.2; the form of the features is the one that versions from 2.14 on read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from visdiv_assets.errors import printable
from visdiv_assets.sources.conform import IMAGE, empty, is_list
from visdiv_assets.sources.image_columns import FEATURES_KEY, IMAGES, candidates
from visdiv_assets.storage.files import escape
from visdiv_assets.storage.format_versions import product_version
from visdiv_assets.wording import several

#: Characters that `datasets` refuses in a config's name or reads as wildcards in a path, and the one for escapes.
_UNFIT = frozenset('<>:/\\|?*[]%"')

#: Files beside the folders of the subsets, whose names no folder may have.
_RESERVED = ("README.md", "croissant.json", "decisions.jsonl", "dropped.parquet")

#: Features that all versions of `datasets` know. Columns with others are left for `datasets` to infer.
_KNOWN_FEATURES = frozenset({"Image", "Value"})


def is_plain(name: str) -> bool:
    """Return whether a name is valid for a folder, a file and a config, and in a pattern of files."""
    return name.isprintable() and not (_UNFIT & set(name) or name.startswith(".") or name != name.strip())


def folder_name(subset: str) -> str:
    """Return the name of a subset's folder and config: the subset's name, escaped if it is not valid (`a%2Fb`)."""
    if subset in _RESERVED:
        return f"%{ord(subset[0]):02X}{subset[1:]}"
    return subset if is_plain(subset) else escape(subset)


def code_span(text: str) -> str:
    """Return a text as Markdown that shows it on one line as it is: no links, images or HTML."""
    line = " ".join(printable(text).split())
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}" if "`" in line or not line else f"`{line}`"


def with_features(schema: pa.Schema) -> pa.Schema:
    """Return the schema with metadata from which `datasets` learns the features, so that it decodes the images.

    Metadata that a file already has for `datasets` stay unchanged. Otherwise the columns that `image_columns` finds
    become `Image`, or lists of `Image`, and the others what `datasets.Features` infers from their types. Lists are
    written in the oldest form, which all versions read: `Sequence` transposes lists of structs, and versions before 4
    do not know `List`. Columns that some version cannot express are left out, and `datasets` infers them. Images in
    another type than that of `datasets` (as Polars writes them, with 64-bit offsets) are cast if that changes no value;
    images that are not structs of bytes and path stay unchanged and are not decoded.

    Args:
        schema: of a shard as it is stored.
    """
    if FEATURES_KEY in (schema.metadata or {}):
        return schema
    from datasets import Features, Image

    images = {name for group in candidates(schema) for name in group if schema.names.count(name) == 1}
    features: dict[str, Any] = {}
    for index, field in enumerate(schema):
        target = _image_type(field.type) if field.name in images else None
        if target is not None:
            schema = schema.set(index, field.with_type(target))
            features[field.name] = Image() if target == IMAGE else [Image()]
        elif (inferred := _infer_feature(field)) is not None:
            features[field.name] = inferred
    written = {name: _oldest_form(feature) for name, feature in Features(features).to_dict().items()}
    known = {name: feature for name, feature in written.items() if feature is not None}
    metadata = {FEATURES_KEY: json.dumps({"info": {"features": known}})}
    return schema.with_metadata({**(schema.metadata or {}), **metadata})


def render_card(
    origin: str,
    rows: Mapping[str, tuple[int, int]],
    *,
    tagged: bool = False,
    turns_left_out: int = 0,
    decisions: int = 0,
    personal: Mapping[str, tuple[int, int]] | None = None,
    more: Sequence[str] = (),
) -> str:
    """Return the dataset card of an export.

    Args:
        origin: the source.
        rows: by subset, the number of its rows and of its kept rows.
        tagged: whether all rows are in the export, with columns that say which of them are kept.
        turns_left_out: number of turns of kept rows that are not in the export.
        decisions: number of people's decisions on pairs of images in `decisions.jsonl`.
        personal: by kind of personal data in the texts of the export, the number of values and of rows; None if the
            texts were not searched.
        more: further paragraphs, each of which begins and ends with a line break.
    """
    # `datasets` refuses a split without rows, so a subset without kept rows gets no config.
    nonempty = [folder_name(subset) for subset, (count, kept) in rows.items() if (count if tagged else kept)]
    configs = [
        f"- config_name: {_quote(name)}\n  data_files:\n  - split: train\n    path: {_quote(f'{name}/*.parquet')}\n"
        for name in nonempty
    ]
    head = ["---\n", "configs:\n", *configs, "---\n"] if configs else []
    all_rows, all_kept = (sum(counts[index] for counts in rows.values()) for index in (0, 1))
    shown = code_span(origin)
    emptied = [code_span(subset) for subset, (_, kept) in rows.items() if not kept]
    return "".join(
        [
            *head,
            *_summary(shown, all_rows, all_kept, len(rows), tagged=tagged, unchanged=not turns_left_out),
            *(
                [
                    f"{several(turns_left_out, 'turn')} of these rows, with ratings below the thresholds, and their "
                    "ratings were left out.\n"
                ]
                if turns_left_out
                else []
            ),
            "`dropped.parquet` lists the dropped rows by their index in the source, each with the reason and, if there "
            "is one, the image that is the witness.\n",
            *(
                [f"`decisions.jsonl` has {several(decisions, 'decision')} of people on pairs, all obeyed.\n"]
                if decisions
                else []
            ),
            *([f"All rows of {', '.join(emptied)} are dropped.\n"] if emptied and not tagged else []),
            "`croissant.json` describes the files in Croissant.\n",
            *more,
            *([] if personal is None else [_personal_data(personal)]),
        ]
    )


def _summary(shown: str, rows: int, kept: int, subsets: int, *, tagged: bool, unchanged: bool) -> list[str]:
    """Return the heading of a card, and what is in the export."""
    order = "unchanged and in their order" if unchanged else "in their order"
    made = f"Made with {_program()} from {shown}: "
    if not tagged:
        counts = f"{kept:,} of {several(rows, 'row')} in {several(subsets, 'subset')}, {order}.\n"
        return [f"# A clean copy of {shown}\n\n", made + counts]
    return [
        f"# {shown} with the findings of visdiv\n\n",
        f"{made}{several(rows, 'row')} in {several(subsets, 'subset')}, {order}.\n",
        f"The column `visdiv_kept` is true for the {several(kept, 'row')} that a clean copy keeps; the other columns "
        "`visdiv_*` say why a row is not kept.\n",
    ]


def _personal_data(personal: Mapping[str, tuple[int, int]]) -> str:
    """Return a paragraph on personal data in the texts."""
    counts = [
        f"{kind.replace('_', ' ')}: {found:,} in {several(rows, 'row')}" for kind, (found, rows) in personal.items()
    ]
    return (
        "\n## Personal data\n\nThe texts were searched by patterns, and what was found is still in them: "
        f"{'; '.join(counts)}. Patterns miss some personal data and match some text that is not personal data; images "
        "were not searched.\n"
    )


def _program() -> str:
    return f"visdiv-assets {product_version()}".rstrip()


def _quote(text: str) -> str:
    """Return a string as a literal that is valid in both YAML and JSON."""
    return json.dumps(text, ensure_ascii=False)


def _image_type(kind: pa.DataType) -> pa.DataType | None:
    """Return the type that `datasets` has for images of this type; None if a cast to it would lose something."""
    target, image = (IMAGES, kind.value_type) if is_list(kind) else (IMAGE, kind)
    if not pa.types.is_struct(image):
        return None
    if sorted(field.name for field in image) not in (["bytes"], ["bytes", "path"]):
        return None
    try:
        empty(kind).cast(target)
    except pa.ArrowException:
        return None
    return target


def _infer_feature(field: pa.Field) -> Any:
    """Return the feature that `datasets` infers from a column's type; None if it has none of just that type."""
    from datasets import Features

    try:
        features = Features.from_arrow_schema(pa.schema([field.remove_metadata()]))
    except ValueError:
        return None
    return features[field.name] if features.arrow_schema.field(field.name).type == field.type else None


def _oldest_form(feature: Any) -> Any:
    """Return a feature's dictionary with lists as `[entry]`; None if some version does not know it."""
    if isinstance(feature, list):
        entry = _oldest_form(feature[0])
        return None if entry is None else [entry]
    kind = feature.get("_type")
    if kind == "List" and feature.get("length", -1) == -1:
        return _oldest_form([feature["feature"]])
    if isinstance(kind, str):
        return feature if kind in _KNOWN_FEATURES else None
    fields = {name: _oldest_form(value) for name, value in feature.items()}
    return None if None in fields.values() else fields
