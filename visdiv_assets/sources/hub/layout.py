"""Group the Parquet files of a dataset's repository by their paths."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from visdiv_assets.sources.hub.client import HubFile

#: The folder with the files of datasets without configs.
DATA = "data"

#: Top-level folders that are splits of one dataset, not subsets.
SPLITS = frozenset({"train", "test", "validation", "valid", "val", "dev"})

#: The config of datasets with only one, in the Hub's conversions to Parquet.
DEFAULT = "default"


def subsets_of(dataset: str, files: Sequence[HubFile]) -> dict[str, dict[str, HubFile]]:
    """Return the subsets of a dataset, sorted by name.

    A top-level folder with Parquet files at any depth is a subset of that name. If all files lie in `data/`, in folders
    of splits or at the top level, they are one subset named like the dataset. Of a subset with a split `train`, only
    that split is used.

    Args:
        dataset: the dataset's name, "owner/name".
        files: all files of its repository.

    Returns:
        By subset, its files by their path in the subset's folder, sorted.
    """
    own = dataset.rpartition("/")[2]
    tops = {file.path.partition("/")[0] for file in _parquet(files) if "/" in file.path}
    found: dict[str, dict[str, HubFile]] = defaultdict(dict)
    for file in _parquet(files):
        top, folder, rest = file.path.partition("/")
        if folder and not tops <= {DATA, *SPLITS}:
            found[top][rest] = file
        else:
            found[own][file.path] = file
    return {name: _train_only(found[name]) for name in sorted(found)}


def benchmark_files(files: Sequence[HubFile], config: str | None, split: str) -> dict[str, HubFile]:
    """Return the files of a split of a config, by their path in the repository, sorted; empty if there are none.

    They are looked for in this order: in `<config>/` (without a config: `default/`), in `data/<config>/`, and for a
    dataset without configs in `data/`, at the top level, and in the only folder.

    Args:
        files: all files of the dataset's repository.
        config: the dataset's config; None is the only or default one.
        split: the split.
    """
    by_path = {file.path: file for file in _parquet(files)}
    prefixes = [f"{config or DEFAULT}/", f"{DATA}/{config or DEFAULT}/"]
    if config is None:
        tops = {path.partition("/")[0] for path in by_path if "/" in path}
        prefixes += [f"{DATA}/", "", *(f"{top}/" for top in tops if len(tops) == 1)]
    for prefix in prefixes:
        inside = [path for path in by_path if path.startswith(prefix)]
        if found := [path for path in sorted(inside) if _is_of_split(path.removeprefix(prefix), split)]:
            return {path: by_path[path] for path in found}
    return {}


def _parquet(files: Sequence[HubFile]) -> list[HubFile]:
    hidden = re.compile(r"(^|/)\.")
    return [file for file in files if file.path.lower().endswith(".parquet") and not hidden.search(file.path)]


def _train_only(files: dict[str, HubFile]) -> dict[str, HubFile]:
    chosen = {path: file for path, file in files.items() if _named_for(path, "train")} or files
    return dict(sorted(chosen.items()))


def _is_of_split(path: str, split: str) -> bool:
    """Return whether a path belongs to a split, and not to another folder, which would be another config."""
    first, folder, _ = path.partition("/")
    return first == split if folder else _named_for(path, split)


def _named_for(path: str, split: str) -> bool:
    """Return whether a path has a folder `<split>`, or a file name like `<split>-00000-of-00002.parquet`."""
    *folders, name = path.split("/")
    return split in folders or bool(re.fullmatch(rf"{re.escape(split)}([-_.]?\d.*)?\.parquet", name, re.IGNORECASE))
