"""Group the files of a dataset's repository by their paths: subsets and splits, alike on the Hub and in a folder."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

from visdiv_assets.sources.reading import ALL_SPLITS, TRAIN

#: The folder with the files of datasets without configs, or with the folders of the configs.
DATA = "data"

#: Splits by the names that folders and files have.
SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "eval": "test",
}

#: The config of datasets with only one, in the Hub's conversions to Parquet.
DEFAULT = "default"

_HIDDEN = re.compile(r"(^|/)\.")

File = TypeVar("File")


def is_parquet(path: str) -> bool:
    """Return whether a posix path is that of a Parquet file, and neither hidden nor in a hidden folder."""
    return path.lower().endswith(".parquet") and not _HIDDEN.search(path)


def subsets_of(own: str, files: Mapping[str, File]) -> dict[str, dict[str, File]]:
    """Return the subsets of a dataset, sorted by name, with the files of all splits.

    A top-level folder with Parquet files at any depth is a subset of that name; so is a folder in `data/` if all files
    lie in `data/`. Files beside such folders are left out, as the list of dropped rows of a clean copy. Folders of
    splits and `data/` are no subsets if there is nothing else: then all files are one subset named like the dataset.

    Args:
        own: the dataset's name.
        files: the files of the repository by posix path; those that are no Parquet files are left out.

    Returns:
        By subset, its files by their path in the subset's folder, sorted.
    """
    files = {path: file for path, file in files.items() if is_parquet(path)}
    prefix = f"{DATA}/" if files and all(path.startswith(f"{DATA}/") for path in files) else ""
    tops = {path.removeprefix(prefix).partition("/")[0] for path in files if "/" in path.removeprefix(prefix)}
    has_configs = are_subsets(tops if prefix else tops - {DATA})
    found: dict[str, dict[str, File]] = defaultdict(dict)
    for path in sorted(files):
        top, folder, rest = path.removeprefix(prefix).partition("/")
        if not has_configs:
            found[own][path] = files[path]
        elif folder:
            found[top][rest] = files[path]
    return {name: found[name] for name in sorted(found)}


def are_subsets(folders: Collection[str]) -> bool:
    """Return whether some folders are subsets, rather than the splits of one."""
    return not set(folders) <= SPLITS.keys()


def choose_split(files: Mapping[str, File], split: str) -> dict[str, File]:
    """Return the files of a split of a subset, in the same order.

    Args:
        files: the subset's files by their path in its folder.
        split: "train" also takes all files of a subset without a split of that name, and "all" those of any subset.
            Of other splits, files without a split are not taken.
    """
    if split == ALL_SPLITS:
        return dict(files)
    chosen = {path: file for path, file in files.items() if _is_named(path, split)}
    return chosen or (dict(files) if split == TRAIN else {})


def choose_split_folder(paths: Sequence[str], split: str) -> list[str]:
    """Return the files of a split of a subset of images: those in its folder, if all folders are splits.

    A name of a file says nothing, and neither does that of a folder beside others, which may be a class of images.
    """
    folders = {path.removeprefix(f"{DATA}/").partition("/")[0] if "/" in path else "" for path in paths}
    if split == ALL_SPLITS or are_subsets(folders):
        return list(paths)
    return list(choose_split(dict.fromkeys(paths), split))


def without_train(files: Mapping[str, File]) -> dict[str, File]:
    """Return the files of a benchmark that are not of the split train; all if there are no others."""
    chosen = {path: file for path, file in files.items() if not _is_named(path, TRAIN)}
    return chosen or dict(files)


def splits_of(files: Mapping[str, object]) -> list[str]:
    """Return the names of the splits that the paths of files name, sorted."""
    return sorted({split for split in SPLITS.values() for path in files if _is_named(path, split)})


def benchmark_files(files: Mapping[str, File], config: str | None, split: str) -> dict[str, File]:
    """Return the files of a split of a config, by their path in the repository, sorted; empty if there are none.

    They are looked for in this order: in `<config>/` (without a config: `default/`), in `data/<config>/`, and for a
    dataset without configs in `data/`, at the top level, and in the only folder.

    Args:
        files: all files of the dataset's repository by posix path.
        config: the dataset's config; None is the only or default one.
        split: the split, exactly as it is named.
    """
    by_path = {path: file for path, file in files.items() if is_parquet(path)}
    prefixes = [f"{config or DEFAULT}/", f"{DATA}/{config or DEFAULT}/"]
    if config is None:
        tops = {path.partition("/")[0] for path in by_path if "/" in path}
        prefixes += [f"{DATA}/", "", *(f"{top}/" for top in tops if len(tops) == 1)]
    for prefix in prefixes:
        inside = [path for path in by_path if path.startswith(prefix)]
        if found := [path for path in sorted(inside) if _is_of_split(path.removeprefix(prefix), split)]:
            return {path: by_path[path] for path in found}
    return {}


def _is_of_split(path: str, split: str) -> bool:
    """Return whether a path belongs to a split, and not to another folder, which would be another config."""
    first, folder, _ = path.partition("/")
    return first == split if folder else _named_for(path, [split])


def _is_named(path: str, split: str) -> bool:
    """Return whether a path names a split, by any of its names."""
    return _named_for(path, [split, *(name for name, canonical in SPLITS.items() if canonical == split)])


def _named_for(path: str, names: list[str]) -> bool:
    """Return whether a path has a folder `<split>`, or a file name like `<split>-00000-of-00002.parquet`."""
    *folders, name = path.split("/")
    if any(folder in names for folder in folders):
        return True
    begins = "|".join(map(re.escape, names))
    return bool(re.fullmatch(rf"(?:{begins})([-_.]?\d.*)?\.\w+", name, re.IGNORECASE))
