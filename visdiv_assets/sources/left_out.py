"""Describe what a source holds beside the rows that are read from it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from visdiv_assets.wording import several

#: Files about a dataset, which hold none of its rows.
_ABOUT = ("readme", "license", "licence", "notice", "citation", "changelog", "dataset_info", "dataset_infos")

#: Files of a folder and ending that are named one by one.
_NAMED = 3

#: Endings of image files, without the dot.
IMAGE_ENDINGS = (
    *("jpg", "jpeg", "jpe", "jfif", "mpo", "png", "apng", "gif", "webp", "bmp", "dib", "tif", "tiff", "avif"),
    *("ppm", "pgm", "pbm", "pnm", "pfm", "jp2", "j2k", "jpx", "j2c", "ico", "tga", "heic", "heif", "jxl", "psd"),
)

#: Kinds of files by their endings, with the word for several of them.
_KINDS = {
    "vector graphics": ("svg", "svgz", "eps", "ai", "wmf", "emf"),
    "images outside the layout": IMAGE_ENDINGS,
    "tables outside the layout": ("parquet", "arrow"),
    "texts": ("txt", "md", "rst", "html", "htm", "xml", "log"),
    "data files": ("csv", "tsv", "json", "jsonl", "yaml", "yml", "npy", "npz", "pkl", "pt", "db", "xlsx"),
    "documents": ("pdf", "doc", "docx", "ppt", "pptx", "odt"),
    "archives": ("zip", "tar", "gz", "tgz", "bz2", "xz", "zst", "7z", "rar"),
    "videos": ("mp4", "avi", "mov", "mkv", "webm", "m4v"),
    "sounds": ("mp3", "wav", "flac", "ogg", "m4a"),
}
_KIND_OF = {f".{ending}": kind for kind, endings in _KINDS.items() for ending in endings}

#: The kind of files with any other ending, and of folders that cannot be listed.
OTHER, UNREADABLE = "other files", "unreadable folders"


@dataclass(frozen=True)
class SkippedFiles:
    """Files of one folder and ending that are not read; as a string one line that names them.

    Attributes:
        folder: posix path of the folder in the source; "." for the source itself.
        ending: the ending with its dot, in lower case; empty if there is none.
        kind: what files of this ending are, in the plural.
        files: the number of files.
        examples: paths of the first files in the source.
        problem: why a folder cannot be listed; empty for files.
    """

    folder: str
    ending: str
    kind: str
    files: int
    examples: tuple[str, ...]
    problem: str = ""

    def __str__(self) -> str:
        if self.problem:
            return self.problem
        if self.files <= len(self.examples):
            return ", ".join(self.examples)
        return f"{self.examples[0]} and {self.files - 1} more ({self.ending or 'no ending'})"


def describe_left_out(
    paths: Iterable[str], taken: Collection[str], unreadable: Iterable[Exception] = ()
) -> list[SkippedFiles]:
    """Return the files that are not read, grouped by folder and ending, sorted.

    Args:
        paths: posix paths of all files, sorted.
        taken: the paths of those that are read. Files about the dataset, such as README.md, are left out too.
        unreadable: why folders cannot be listed.
    """
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for path in paths:
        pure = PurePosixPath(path)
        if path not in taken and pure.name.lower().partition(".")[0] not in _ABOUT:
            groups[pure.parent.as_posix(), pure.suffix.lower()].append(path)
    found = [
        SkippedFiles(folder, ending, _KIND_OF.get(ending, OTHER), len(names), tuple(names[:_NAMED]))
        for (folder, ending), names in groups.items()
    ]
    faults = [SkippedFiles(".", "", UNREADABLE, 0, (), str(error)) for error in unreadable]
    return [*sorted(found, key=lambda group: group.examples[0]), *faults]


def count_by_kind(left_out: Iterable[SkippedFiles]) -> str:
    """Return how many files of each kind are not read: "31 files (20 vector graphics, 11 texts)"."""
    counts: Counter[str] = Counter()
    for group in left_out:
        counts[group.kind] += group.files or 1
    one = len(counts) == 1
    parts = ", ".join(kind if one else f"{count:,} {kind}" for kind, count in counts.most_common())
    return f"{several(counts.total(), 'file')} ({parts})"
