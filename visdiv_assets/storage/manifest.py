"""The record of one partition: which files count, and what they were made from.

A manifest is one small JSON object. It is the only thing that is ever replaced; the files that it lists never change.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from visdiv_assets.storage.files import escape

#: The name of a partition's manifest.
MANIFEST = "manifest.json"


def path_in_lake(table: str, partition: str, name: str = "") -> str:
    """The path in the lake of a file of a partition, or of its folder."""
    folder = f"{table}/{escape(partition)}"
    return f"{folder}/{name}" if name else folder


def digest_of(value: object) -> str:
    """SHA-256, as 32 hex characters, of a value of plain types, the same on every machine."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class DataFile:
    """An immutable file of the lake: its name in the partition's folder, rows, size in bytes and SHA-256."""

    name: str
    rows: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Unit:
    """A finished unit of work: its name, the digest of all that its output depends on, and its files by role."""

    name: str
    digest: str
    files: Mapping[str, DataFile]


@dataclass(frozen=True)
class Manifest:
    """What a partition of a table consists of, and where it came from.

    Attributes:
        table: the table's name.
        partition: the partition's name, as published (not escaped).
        units: the units in order; their files together are the partition's content.
        inputs: digests of what it was made from, by name.
        model_id: the model whose vectors it holds or is derived from; None where there is none.
        settings: the settings that its content depends on.
        code_version: version of the code that made it.
        source_revision: version of the subset's rows.
        facts: small numbers about the content, for reports.
        run_id: the Dagster run that wrote it.
        materialized_at: when, UTC, ISO 8601.
    """

    table: str
    partition: str
    units: tuple[Unit, ...]
    inputs: Mapping[str, str]
    model_id: str | None
    settings: Mapping[str, Any]
    code_version: str
    source_revision: str | None
    facts: Mapping[str, Any] = field(default_factory=dict)
    run_id: str = ""
    materialized_at: str = ""

    def files(self, role: str) -> list[DataFile]:
        """The files of one role, in the units' order."""
        return [unit.files[role] for unit in self.units if role in unit.files]

    def rows(self, role: str) -> int:
        """Rows in all files of one role."""
        return sum(file.rows for file in self.files(role))

    def path_of(self, name: str) -> str:
        """The path in the lake of one of the partition's files."""
        return path_in_lake(self.table, self.partition, name)

    @property
    def digest(self) -> str:
        """Digest of the content: equal content has equal digests, whoever wrote it and when."""
        files = [[role, unit.files[role].sha256] for unit in self.units for role in sorted(unit.files)]
        return digest_of([self.table, self.model_id, files])

    def to_json(self) -> bytes:
        """The manifest as it is stored."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode()


def unit_to_json(unit: Unit) -> bytes:
    """A unit's record as it is stored beside its files."""
    return json.dumps(asdict(unit), indent=1, sort_keys=True).encode()


def unit_from_json(value: Mapping[str, Any]) -> Unit:
    """The inverse of `unit_to_json`, from parsed JSON."""
    files = {role: DataFile(**file) for role, file in value["files"].items()}
    return Unit(name=value["name"], digest=value["digest"], files=files)


def manifest_from_json(data: bytes) -> Manifest:
    """The inverse of `Manifest.to_json`."""
    value = json.loads(data)
    value["units"] = tuple(unit_from_json(unit) for unit in value["units"])
    return Manifest(**value)
