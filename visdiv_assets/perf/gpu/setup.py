"""What a step of the check knows: the device, the sizes and a folder for its input."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from visdiv_assets.devices import has_cuda
from visdiv_assets.perf.joins import FINEVISION_IMAGES
from visdiv_assets.perf.machine import processor_name
from visdiv_assets.threads import thread_count


@dataclass(frozen=True)
class Sizes:
    """How much a check measures.

    Attributes:
        different: number of different JPEG files.
        files: number of files that a model reads; the different ones again and again.
        model_images: number of images that a model alone is measured with.
        texts: number of texts.
        vectors: number of vectors of the joins and of the moments.
        many_vectors: number of vectors of the join of which a share is measured.
        share: that share of their rows.
        block: rows of a block whose result is compared with the CPU's.
        pairs_of: number of different images of the pairs that are verified.
        whole_models: whether models have all their layers.
    """

    different: int
    files: int
    model_images: int
    texts: int
    vectors: int
    many_vectors: int
    share: float
    block: int
    pairs_of: int
    whole_models: bool


#: For a GPU of the data center, in less than 8 minutes with 16 cores.
FULL = Sizes(256, 16_384, 16_384, 100_000, 1_000_000, FINEVISION_IMAGES, 0.002, 512, 64, True)
#: For the CPU, in a few minutes on two cores.
SMALL = Sizes(8, 8, 8, 32, 12_000, 20_000, 0.05, 256, 4, False)


@dataclass(frozen=True)
class Setup:
    """Where and with what a check runs.

    Attributes:
        device: "cuda", or "cpu" where there is none.
        sizes: how much it measures.
        folder: for its input, which later steps use again.
    """

    device: str
    sizes: Sizes
    folder: Path

    @property
    def where(self) -> str:
        """The name of the device, for the names of figures."""
        return device_name(self.device)

    def row(self) -> dict[str, Any]:
        """Return what results depend on, for the JSON file."""
        return {"device": self.where, "cores": thread_count(0), "sizes": asdict(self.sizes)}


def device_name(device: str) -> str:
    """Return the name of a GPU ("cuda"), or of the processor ("cpu")."""
    if device == "cpu":
        return f"{thread_count(0)} cores of {processor_name()}"
    import torch

    return torch.cuda.get_device_name(device)


def choose_device() -> str:
    """Return "cuda" if torch can use it, else "cpu"."""
    return "cuda" if has_cuda() else "cpu"
