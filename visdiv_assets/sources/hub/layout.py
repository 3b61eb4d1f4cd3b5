"""Which Parquet files of a dataset's repository belong together, told from their paths alone."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from visdiv_assets.sources.hub.client import HubFile

#: Folder that holds the files of datasets without configs.
DATA = "data"

#: Folders at the top that are splits of one dataset rather than subsets.
SPLITS = frozenset({"train", "test", "validation", "valid", "val", "dev"})

#: Config of datasets that have only one, in the Hub's own conversions to Parquet.
DEFAULT = "default"


def subsets_of(dataset: str, files: Sequence[HubFile]) -> dict[str, dict[str, HubFile]]:
    """The subsets of a dataset, sorted by name.

    A folder at the top that holds Parquet files, at any depth, is a subset of its name. Where all of them lie in
    `data/`, in folders of splits or at the top, they are one subset named like the dataset. Of a subset with a split
    `train`, only that one counts.

    Args:
        dataset: the dataset's name, "owner/name".
        files: all files of its repository.

    Returns:
        Files by their path in the subset's folder, sorted, by the subset's name.
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
    return {name: _training(found[name]) for name in sorted(found)}


def benchmark_files(files: Sequence[HubFile], config: str | None, split: str) -> dict[str, HubFile]:
    """The files of a split of a config, by their path in the repository, sorted; empty if there are none.

    Looked for in this order: `<config>/` (without a config: `default/`), `data/<config>/`, and for a dataset without
    configs `data/`, the top, and the only folder there is.

    Args:
        files: all files of the dataset's repository.
        config: the dataset's config; None is the only or default one.
        split: the split.
    """
    by_path = {file.path: file for file in _parquet(files)}
    places = [f"{config or DEFAULT}/", f"{DATA}/{config or DEFAULT}/"]
    if config is None:
        tops = {path.partition("/")[0] for path in by_path if "/" in path}
        places += [f"{DATA}/", "", *(f"{top}/" for top in tops if len(tops) == 1)]
    for place in places:
        inside = [path for path in by_path if path.startswith(place)]
        if found := [path for path in sorted(inside) if _directly_of(path.removeprefix(place), split)]:
            return {path: by_path[path] for path in found}
    return {}


def _parquet(files: Sequence[HubFile]) -> list[HubFile]:
    hidden = re.compile(r"(^|/)\.")
    return [file for file in files if file.path.lower().endswith(".parquet") and not hidden.search(file.path)]


def _training(files: dict[str, HubFile]) -> dict[str, HubFile]:
    chosen = {path: file for path, file in files.items() if _named_for(path, "train")} or files
    return dict(sorted(chosen.items()))


def _directly_of(path: str, split: str) -> bool:
    """Whether a path is of a split and of no other folder, which would be another config."""
    first, folder, _ = path.partition("/")
    return first == split if folder else _named_for(path, split)


def _named_for(path: str, split: str) -> bool:
    """Whether a path has a folder `<split>`, or a name such as `<split>-00000-of-00002.parquet`."""
    *folders, name = path.split("/")
    return split in folders or bool(re.fullmatch(rf"{re.escape(split)}([-_.]?\d.*)?\.parquet", name, re.IGNORECASE))
