"""What the findings say of a data set as a whole, for the dataset card and the Croissant metadata of an export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from visdiv_assets.storage import uris

#: Bytes of a README.md that are read for the license.
_README_BYTES = 1 << 20


@dataclass(frozen=True)
class SubsetFacts:
    """What the findings say of a subset; None for a number that was not computed.

    Attributes:
        subset: its name.
        rows: its rows.
        images: its image positions.
        unreadable: image positions that cannot be read.
        duplicates: image positions that are copies of an image that a clean copy keeps elsewhere.
        contaminated: image positions that are confirmed copies of a benchmark image.
    """

    subset: str
    rows: int
    images: int
    unreadable: int
    duplicates: int | None
    contaminated: int | None


@dataclass(frozen=True)
class BenchmarkFacts:
    """What the findings say of a benchmark: its image positions, and those with a confirmed copy in any subset."""

    benchmark: str
    images: int
    leaked: int | None


@dataclass(frozen=True)
class DatasetFacts:
    """What the findings say of a data set.

    Attributes:
        subsets: of each subset.
        benchmarks: of each benchmark that it was compared with.
        published: date of the findings, as YYYY-MM-DD; empty if it is not known.
    """

    subsets: Sequence[SubsetFacts]
    benchmarks: Sequence[BenchmarkFacts]
    published: str


def stated_license(uri: str) -> str | None:
    """Return the license that the README.md of a local folder states in its metadata; None if none is known.

    Args:
        uri: the source.
    """
    if uris.is_uri(uri):
        return None
    try:
        with (uris.local_folder(uri) / "README.md").open(encoding="utf-8", errors="replace") as stream:
            text = stream.read(_README_BYTES)
        data = yaml.safe_load(text.split("\n---", 1)[0].removeprefix("---")) if text.startswith("---\n") else None
    except (OSError, ValueError, yaml.YAMLError):
        return None
    found = data.get("license") if isinstance(data, dict) else None
    names = found if isinstance(found, list) else [found]
    return ", ".join(str(name) for name in names if name) or None
