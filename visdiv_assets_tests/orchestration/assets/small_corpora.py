"""Small subsets and benchmarks, and the stages that questions about them need."""

from __future__ import annotations

from visdiv_assets.sources import Kind
from visdiv_assets_tests.conftest import Pipeline, Ran, Row, image, other_model

#: Enough for questions about images and their vectors.
EMBEDDED = ("subset_images", "sscd_embeddings")
#: Loads faster than SSCD, for questions that do not depend on how images are embedded.
COLOR = other_model("color")
#: Enough to compare a subset with benchmarks.
COMPARED = ("subset_images", "subset_turns", "sscd_embeddings", "near_duplicates", "contamination")

RATED = [
    Row([image(0)], turns=2, ratings={"visual_dependency": [5, 2], "relevance": [5, 5]}),
    Row([image(1)], turns=1, ratings={"visual_dependency": [3]}),
    Row([image(2)], turns=2, ratings={"formatting": [2, 1]}),
    Row([image(3)], turns=1),
    Row([image(4)], turns=0),
]


def write_benchmark(pipeline: Pipeline, name: str, rows: list[Row]) -> None:
    pipeline.write(name, rows, kind=Kind.BENCHMARK)


def run(pipeline: Pipeline, name: str, kind: Kind = Kind.SUBSET, only: tuple[str, ...] = ()) -> Ran:
    """The jobs with a small embedder, which is faster and good enough here."""
    return pipeline.run(name, kind=kind, only=only, sscd=COLOR)
