"""What the papers of selection methods tune, and which methods take it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

from visdiv_assets.errors import InputError

if TYPE_CHECKING:
    from visdiv_assets.embedding import ClipTexts

#: Share of all matches that MetaCLIP's rare entries make up, as in MetaCLIP 2; it determines the threshold.
TAIL_SHARE = 0.06

#: The methods that take each option of `Options`.
METHODS_WITH = {
    "concepts": ("metaclip",),
    "tail_share": ("metaclip",),
    "epsilon": ("semdedup",),
    "clusters": ("semdedup", "clip_cov"),
    "classes": ("clip_cov",),
    "seed": ("semdedup", "clip_cov", "metaclip", "k_center", "k_means_plus_plus"),
}


@dataclass(frozen=True)
class Options:
    """Options of methods; None is the default of the method.

    Attributes:
        concepts: UTF-8 file with one entry of MetaCLIP's list per line; None: frequent words and word pairs.
        tail_share: share of all matches that MetaCLIP's rare entries make up; None: `TAIL_SHARE`.
        epsilon: SemDeDup selects the rows whose similarity to an earlier one is at most 1 - epsilon; None: as many rows
            as are wanted.
        clusters: k of k-means; None: the square root of the number of rows.
        classes: UTF-8 file with one name of ClipCov's zero-shot classes per line; None: k-means clusters.
        seed: of k-means, of draws and of the first pick; None: 0.
    """

    concepts: Path | None = None
    tail_share: float | None = None
    epsilon: float | None = None
    clusters: int | None = None
    classes: Path | None = None
    seed: int | None = None

    def require_used(self, method: str) -> None:
        """Raise an error if an option is set that the method does not take.

        Raises:
            InputError: there is one, or two that exclude each other or of which one has no effect.
        """
        for field in fields(self):
            takers = METHODS_WITH[field.name]
            if getattr(self, field.name) is not None and method not in takers:
                option = f"--{field.name.replace('_', '-')}"
                raise InputError(f"{method} has no option {option}: it belongs to {', '.join(takers)}")
        if self.classes and self.clusters:
            raise InputError("--classes and --clusters both say what ClipCov's classes are: give one of them")
        if self.classes and self.seed is not None:
            raise InputError("--seed is of k-means, which ClipCov does not need with --classes: leave --seed out")


@dataclass(frozen=True)
class TextModels:
    """Loaders of CLIP's text tower, called by the methods that embed texts.

    Attributes:
        turns: loads the embedder of the texts of turns, as they were stored.
        prompts: loads the embedder of names and descriptions, without the prefix of turns.
    """

    turns: Callable[[], ClipTexts]
    prompts: Callable[[], ClipTexts]


def read_lines(path: Path, what: str) -> list[str]:
    """Return the lines of a UTF-8 file without blanks around them, each once, without empty ones.

    Args:
        path: the file.
        what: what a line is, such as "class".

    Raises:
        InputError: the file cannot be read, or has no line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path} ({error}): give a UTF-8 file with one {what} per line") from error
    found = list(dict.fromkeys(stripped for line in lines if (stripped := line.strip())))
    if not found:
        raise InputError(f"{path} is empty: give a file with one {what} per line")
    return found
