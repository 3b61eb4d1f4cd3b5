"""Describe what a source holds beside the rows that are read from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath

#: Files about a dataset, which hold none of its rows.
_ABOUT = ("readme", "license", "licence", "notice", "citation", "changelog", "dataset_info", "dataset_infos")

#: Files of a folder and ending that are named one by one.
_NAMED = 3


def describe_left_out(paths: Iterable[str], taken: Collection[str]) -> list[str]:
    """Return one line for each file that is not read, or for many of one folder and ending, sorted.

    Args:
        paths: posix paths of all files, sorted.
        taken: the paths of those that are read. Files about the dataset, such as README.md, are left out too.
    """
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in paths:
        pure = PurePosixPath(path)
        if path not in taken and pure.name.lower().partition(".")[0] not in _ABOUT:
            groups[pure.parent.as_posix(), pure.suffix.lower() or "no ending"].append(path)
    lines: list[str] = []
    for (_, ending), found in groups.items():
        few = len(found) <= _NAMED
        lines += found if few else [f"{found[0]} and {len(found) - 1} more ({ending})"]
    return sorted(lines)
