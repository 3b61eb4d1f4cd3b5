"""The origin of a DuckDB file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Publication:
    """The origin of a DuckDB file: the row of its table `meta`.

    Attributes:
        product_version: version of this product; None if unknown.
        source: the dataset, without credentials; None if unknown.
        settings: settings that are not secret, by name; values as JSON has them.
        lake_format_version: version of the lake's file format; None if unknown.
    """

    product_version: str | None = None
    source: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    lake_format_version: int | None = None
