"""Format versions of the lake's JSON records, and the migration of older records when they are read.

A record is a manifest or the record of a unit. `format_version` counts changes that an older program cannot read
correctly; a new optional field is no such change, because readers ignore fields that they do not know. Version 1 had no
`format_version`. To introduce version n + 1, raise `FORMAT_VERSION` and add the step n -> n + 1 to both tables.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from visdiv_assets.errors import StorageError

#: The version that this program writes, and the newest that it reads.
FORMAT_VERSION = 2

#: The name of the field that holds the version.
FIELD = "format_version"

_DISTRIBUTION = "visdiv-assets"

#: A step from one version to the next, on the parsed JSON of a record.
Migration = Callable[[dict[str, Any]], dict[str, Any]]


class NewerFormatError(StorageError):
    """A record has a format version that only a newer release reads."""


def _add_product_version(manifest: dict[str, Any]) -> dict[str, Any]:
    """Version 1 did not record which release wrote a manifest."""
    return {"product_version": "", **manifest}


def _keep(record: dict[str, Any]) -> dict[str, Any]:
    return record


#: Steps for manifests, by the version that they start from.
MANIFEST_MIGRATIONS: Mapping[int, Migration] = {1: _add_product_version}

#: Steps for records of units, by the version that they start from.
UNIT_MIGRATIONS: Mapping[int, Migration] = {1: _keep}


def parse_record(data: bytes, path: str, migrations: Mapping[int, Migration]) -> dict[str, Any]:
    """Parse a record and migrate it to `FORMAT_VERSION`.

    Args:
        data: the content of its file.
        path: the file's path, for the message.
        migrations: the steps for this kind of record.

    Raises:
        NewerFormatError: the record has a newer version.
        ValueError: the data is not a JSON object, or its version is not a positive integer.
    """
    value = json.loads(data)
    if not isinstance(value, dict):
        raise ValueError("it does not hold a JSON object")
    record: dict[str, Any] = value
    version = record.get(FIELD, 1)
    if type(version) is not int or version < 1:
        raise ValueError(f"{FIELD} is {version!r}")
    if version > FORMAT_VERSION:
        writer = record.get("product_version")
        advice = f"install {_DISTRIBUTION} {writer} or later" if writer else f"upgrade {_DISTRIBUTION}"
        raise NewerFormatError(
            f"{path} has format version {version}, but {_DISTRIBUTION} {product_version()} reads versions up to "
            f"{FORMAT_VERSION}: {advice}"
        )
    for step in range(version, FORMAT_VERSION):
        record = migrations[step](record)
    return record


def format_record(fields: Mapping[str, Any]) -> bytes:
    """Return a record as it is stored: indented JSON with sorted keys and the format version."""
    return json.dumps({**fields, FIELD: FORMAT_VERSION}, indent=1, sort_keys=True).encode()


@cache
def product_version() -> str:
    """Return the version of the installed distribution; empty if this code runs without being installed."""
    try:
        return importlib.metadata.version(_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return ""
