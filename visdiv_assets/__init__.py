"""Audit the image data of vision-language training sets: duplicates, contamination and diversity.

The names of `__all__` make up the library; each is loaded when it is first used, so that importing the package stays
cheap. They need neither Dagster nor a command line:

    >>> import numpy as np
    >>> import visdiv_assets
    >>> vectors = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], np.float32)
    >>> visdiv_assets.self_join(vectors, threshold=0.95).to_pylist()
    [{'left': 0, 'right': 1, 'similarity': 1.0}]

`definitions.py` is the entry point for Dagster, and `cli/main.py` that of the command `visdiv`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from visdiv_assets.curation.selection.diverse import select_diverse_samples
    from visdiv_assets.diversity.evaluate import DiversityCalculator, evaluate_diversity, get_diversity_components
    from visdiv_assets.diversity.moments import Moments
    from visdiv_assets.diversity.scores import scores
    from visdiv_assets.duplicates.verify.verdict import verify_pair as compare_images
    from visdiv_assets.embedding.extract import SSCDEmbedder, extract
    from visdiv_assets.imaging.decode import decode_image
    from visdiv_assets.imaging.identity import image_id
    from visdiv_assets.sources.opening import open_source
    from visdiv_assets.storage.lake import Lake
    from visdiv_assets.vectors.join import cross_join, self_join

    __version__: str

__all__ = [
    "DiversityCalculator",
    "Lake",
    "Moments",
    "SSCDEmbedder",
    "__version__",
    "compare_images",
    "cross_join",
    "decode_image",
    "evaluate_diversity",
    "extract",
    "get_diversity_components",
    "image_id",
    "open_source",
    "scores",
    "select_diverse_samples",
    "self_join",
]

#: Module and name of each public object.
_LOCATIONS = {
    "DiversityCalculator": ("visdiv_assets.diversity.evaluate", "DiversityCalculator"),
    "Lake": ("visdiv_assets.storage.lake", "Lake"),
    "Moments": ("visdiv_assets.diversity.moments", "Moments"),
    "SSCDEmbedder": ("visdiv_assets.embedding.extract", "SSCDEmbedder"),
    "compare_images": ("visdiv_assets.duplicates.verify.verdict", "verify_pair"),
    "cross_join": ("visdiv_assets.vectors.join", "cross_join"),
    "decode_image": ("visdiv_assets.imaging.decode", "decode_image"),
    "evaluate_diversity": ("visdiv_assets.diversity.evaluate", "evaluate_diversity"),
    "extract": ("visdiv_assets.embedding.extract", "extract"),
    "get_diversity_components": ("visdiv_assets.diversity.evaluate", "get_diversity_components"),
    "image_id": ("visdiv_assets.imaging.identity", "image_id"),
    "open_source": ("visdiv_assets.sources.opening", "open_source"),
    "scores": ("visdiv_assets.diversity.scores", "scores"),
    "select_diverse_samples": ("visdiv_assets.curation.selection.diverse", "select_diverse_samples"),
    "self_join": ("visdiv_assets.vectors.join", "self_join"),
}


def __getattr__(name: str) -> object:
    """Load a public name when it is first used (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        value: object = version("visdiv-assets")
    elif name in _LOCATIONS:
        from importlib import import_module

        module, attribute = _LOCATIONS[name]
        value = getattr(import_module(module), attribute)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
