"""The rules by which rows are decided on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from visdiv_assets.curation.selection.keep_masks import Selection


@dataclass(frozen=True)
class Rules:
    """The settings that decide which rows a clean copy drops; see `Settings` for their meaning.

    Attributes:
        similarity_floor: smallest similarity of stored pairs.
        copies_by: what makes two images copies.
        duplicate_threshold: smallest similarity of copies.
        contamination_threshold: smallest similarity of contaminated images.
        text_contamination_share: smallest share of n-grams of contaminated texts.
        image_profile: issues that make an image poor.
        text_profile: limits that make a turn poor.
        row_rule: number of images of a row that must be redundant.
        drop: reasons that count.
        selection: rows that are selected.
    """

    similarity_floor: float
    copies_by: str
    duplicate_threshold: float
    contamination_threshold: float
    text_contamination_share: float
    image_profile: str
    text_profile: str
    row_rule: str
    drop: tuple[str, ...]
    selection: Selection

    def settings(self) -> dict[str, Any]:
        """Return the rules as settings of a partition, by the names of the settings.

        Raises:
            ConfigError: the file of the selection cannot be read.
        """
        return {
            "similarity_floor": self.similarity_floor,
            "copies_by": self.copies_by,
            "duplicate_threshold": self.duplicate_threshold,
            "contamination_threshold": self.contamination_threshold,
            "text_contamination_share": self.text_contamination_share,
            "image_profile": self.image_profile,
            "text_profile": self.text_profile,
            "row_rule": self.row_rule,
            "drop": list(self.drop),
            **self.selection.settings(),
        }
