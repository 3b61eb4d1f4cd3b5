"""How the files of a source are read: which split and columns, and which other files they may name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from visdiv_assets.storage.manifest import digest_of

#: The split that is read unless another is set.
TRAIN = "train"
#: Reads every file, of whatever split.
ALL_SPLITS = "all"


@dataclass(frozen=True)
class Reading:
    """Choices of the user.

    Attributes:
        split: the split of a subset that is read (`layout.choose_split`); "all" for all of them.
        image_columns: the columns with images, in the order of the images of a row; empty: found by
            `image_columns.candidates`.
        text_columns: the column with conversations, or one with questions and one with answers; empty: found by name.
        outside_files: whether a row may name image files, and links may lead to files, outside the source.
    """

    split: str = TRAIN
    image_columns: tuple[str, ...] = ()
    text_columns: tuple[str, ...] = ()
    outside_files: bool = False

    def confined(self, root: Path) -> Path | None:
        """Return the folder that links may not leave: the source; None if they may lead anywhere."""
        return None if self.outside_files else root

    def mark(self, digest: str) -> str:
        """Return a digest of a file that changes with what is read of it; the same one if all are the defaults."""
        choices = [list(self.image_columns), list(self.text_columns), self.outside_files]
        return digest if not any(choices) else digest_of([digest, *choices])
