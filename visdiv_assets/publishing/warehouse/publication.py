"""The origin of a DuckDB file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from visdiv_assets.sources import Source
from visdiv_assets.sources.left_out import SkippedFiles


@dataclass(frozen=True)
class Publication:
    """The origin of a DuckDB file: the row of its table `meta`, and what the source holds beside its rows.

    Attributes:
        product_version: version of this product; None if unknown.
        source: the dataset, without credentials; None if unknown.
        settings: settings that are not secret, by name; values as JSON has them.
        lake_format_version: version of the lake's file format; None if unknown.
        skipped: files of the source that are not read.
    """

    product_version: str | None = None
    source: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    lake_format_version: int | None = None
    skipped: tuple[SkippedFiles, ...] = ()

    def with_source(self, source: Source) -> Publication:
        """Return the origin with the files that a source holds and that are not read."""
        return replace(self, skipped=tuple(source.left_out()))
