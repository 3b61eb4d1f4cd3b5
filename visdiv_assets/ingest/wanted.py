"""What one pass over a shard shall make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from visdiv_assets.embedding.interface import Embedder
from visdiv_assets.imaging.id_index import IdSet
from visdiv_assets.imaging.thumbnails import SIDE
from visdiv_assets.ingest.turns import STRINGS_SCHEMA, TURN_COLUMNS

#: Selects images by image_id: S32 [n] -> bool [n].
Choose = Callable[[np.ndarray], np.ndarray]


def every_image(image_ids: np.ndarray) -> np.ndarray:
    """Choose all images."""
    return np.ones(len(image_ids), bool)


class ModelWanted(NamedTuple):
    """Vectors that shall be made.

    Attributes:
        embedder: the model.
        choose: the images that it sees.
    """

    embedder: Embedder
    choose: Choose = every_image


@dataclass(frozen=True)
class Wanted:
    """The products that a pass shall make of a shard; what is not wanted is not computed.

    Attributes:
        images: whether to list every position.
        turns: whether to list the turns of every row.
        strings: whether to list all strings of every row.
        thumbnails: the images of which thumbnails are made; None for none.
        thumbnail_side: longest side of a thumbnail in pixels.
        features: the images of which local features are extracted; None for none.
        models: the models that embed images, by the name of the product.
        listed: image_ids that an earlier pass listed in the shard, S32 [n], each once; None if none did. Only these
            images are decoded, and they must all be there and be readable.
    """

    images: bool = False
    turns: bool = False
    strings: bool = False
    thumbnails: Choose | None = None
    thumbnail_side: int = SIDE
    features: Choose | None = None
    models: Mapping[str, ModelWanted] = field(default_factory=dict)
    listed: np.ndarray | None = None

    @property
    def choices(self) -> dict[str, Choose]:
        """Which images each product of images is made of, by the product's name."""
        named = {"thumbnails": self.thumbnails, "features": self.features}
        return {
            **{name: choose for name, choose in named.items() if choose is not None},
            **{name: model.choose for name, model in self.models.items()},
        }

    @property
    def reads_texts(self) -> bool:
        """Whether texts of every row are listed."""
        return self.turns or self.strings

    @property
    def columns(self) -> list[str]:
        """The columns of a source that the pass reads."""
        sought = self.sought()
        images = self.images or bool(self.choices if sought is None else sought)
        texts = [*(TURN_COLUMNS if self.turns else []), *(STRINGS_SCHEMA.names if self.strings else [])]
        return [*(["images"] if images else []), *texts]

    def needed(self, image_ids: np.ndarray) -> dict[str, np.ndarray]:
        """Return which images each product is made of, of images S32 [n] that occur for the first time: bool [n]."""
        made = {name: choose(image_ids) for name, choose in self.choices.items()}
        if self.listed is not None:
            listed = self._listed.holds(image_ids)
            made = {name: chosen & listed for name, chosen in made.items()}
        return made

    @cached_property
    def _listed(self) -> IdSet:
        found = IdSet()
        if self.listed is not None:
            found.add(self.listed)
        return found

    def sought(self) -> set[str] | None:
        """Return the listed images that a product is made of; None if none were listed."""
        if self.listed is None:
            return None
        chosen = np.zeros(len(self.listed), bool)
        for each in self.needed(self.listed).values():
            chosen |= each
        return {name.decode() for name in self.listed[chosen]}
