"""The record of one partition: which files count, and what they were made from.

A manifest is one small JSON object. It is the only file that is ever replaced; the files that it lists never change.
See `format_versions` for how manifests of other releases are read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from visdiv_assets.errors import StorageError
from visdiv_assets.storage.files import escape
from visdiv_assets.storage.format_versions import MANIFEST_MIGRATIONS, UNIT_MIGRATIONS, format_record, parse_record

#: The name of a partition's manifest.
MANIFEST = "manifest.json"

#: The end of the name of a unit's record.
UNIT_RECORD = ".unit.json"


class DamagedManifestError(StorageError):
    """A file that should be a manifest is none."""


def path_in_lake(table: str, partition: str, name: str = "") -> str:
    """Return the path in the lake of a file of a partition, or of the partition's folder if no name is given."""
    folder = f"{table}/{escape(partition)}"
    return f"{folder}/{name}" if name else folder


def digest_of(value: object) -> str:
    """Return the SHA-256 of a value of plain types as 32 hex characters, the same on every machine."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class DataFile:
    """An immutable file of the lake.

    Attributes:
        name: its name in the partition's folder.
        rows: number of rows.
        size_bytes: size in bytes.
        sha256: SHA-256 of its content, 64 hex characters.
    """

    name: str
    rows: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Unit:
    """A finished unit of work.

    Attributes:
        name: the unit's name, unique in its partition.
        digest: digest of everything that its output depends on.
        files: its files, by role.
    """

    name: str
    digest: str
    files: Mapping[str, DataFile]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a partition of a table consists of, and where it came from.

    Attributes:
        table: the table's name.
        partition: the partition's name, as published (not escaped).
        units: the units in order; their files together are the partition's content.
        inputs: digests of what it was made from, by name.
        model_id: the model whose vectors it holds or is derived from; None if it involves no model.
        settings: the settings that its content depends on.
        code_version: version of the code that made it.
        source_revision: version of the subset's rows.
        facts: small numbers about the content, for reports.
        run_id: the Dagster run that wrote it.
        materialized_at: when it was committed, UTC, ISO 8601.
        product_version: release of visdiv-assets that wrote it; empty if that is unknown.
    """

    table: str
    partition: str
    units: tuple[Unit, ...]
    inputs: Mapping[str, str]
    model_id: str | None = None
    settings: Mapping[str, Any]
    code_version: str
    source_revision: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    run_id: str = ""
    materialized_at: str = ""
    product_version: str = ""

    def files(self, role: str) -> list[DataFile]:
        """Return the files of one role, in the units' order."""
        return [unit.files[role] for unit in self.units if role in unit.files]

    def rows(self, role: str) -> int:
        """Return the number of rows in all files of one role."""
        return sum(file.rows for file in self.files(role))

    @property
    def size_bytes(self) -> int:
        """Size of all its files together."""
        return sum(file.size_bytes for unit in self.units for file in unit.files.values())

    def path_of(self, name: str) -> str:
        """Return the path in the lake of one of the partition's files."""
        return path_in_lake(self.table, self.partition, name)

    @property
    def digest(self) -> str:
        """Digest of the content: equal content has equal digests, regardless of who wrote it and when."""
        files = [[role, unit.files[role].sha256] for unit in self.units for role in sorted(unit.files)]
        return digest_of([self.table, self.model_id, files])

    def to_json(self) -> bytes:
        """Return the manifest as it is stored."""
        return format_record(asdict(self))


def manifest_from_json(data: bytes, path: str = MANIFEST) -> Manifest:
    """Return the manifest that `Manifest.to_json` of this or an earlier release wrote.

    Args:
        data: the content of the file.
        path: the file's path, for messages.

    Raises:
        NewerFormatError: a newer release wrote it.
        ValueError, KeyError, TypeError, AttributeError: it is not a manifest.
    """
    value = parse_record(data, path, MANIFEST_MIGRATIONS)
    value["units"] = tuple(_unit(unit) for unit in value["units"])
    return Manifest(**_known(Manifest, value))


def unit_to_json(unit: Unit) -> bytes:
    """Return a unit's record as it is stored beside the unit's files."""
    return format_record(asdict(unit))


def unit_from_json(data: bytes, path: str = UNIT_RECORD) -> Unit:
    """Return the unit that `unit_to_json` of this or an earlier release wrote.

    Raises:
        NewerFormatError: a newer release wrote it.
        ValueError, KeyError, TypeError, AttributeError: it is not a unit's record.
    """
    return _unit(parse_record(data, path, UNIT_MIGRATIONS))


def _unit(value: Mapping[str, Any]) -> Unit:
    files = {role: DataFile(**_known(DataFile, file)) for role, file in value["files"].items()}
    return Unit(name=value["name"], digest=value["digest"], files=files)


def _known(record: type[Manifest | DataFile], value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that this release knows; a missing optional one gets its default from the dataclass."""
    names = {known.name for known in fields(record)}
    return {name: item for name, item in value.items() if name in names}
