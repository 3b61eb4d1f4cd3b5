"""Hashes of the code that each stage's results depend on, guarded by `test_code_versions`.

A stage reuses stored results as long as its CODE_VERSION stays the same. A change of the code behind a stage needs a
decision: raise the CODE_VERSION if results change; in either case record the new code with

    python -m visdiv_assets_tests.orchestration.code_versions

A hash covers the syntax trees of modules without docstrings, annotations, comments and layout.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import visdiv_assets

PACKAGE = Path(visdiv_assets.__file__).parent
RECORD = Path(__file__).with_name("code_hashes.json")
COMMAND = "python -m visdiv_assets_tests.orchestration.code_versions"

# Groups of modules, by their names within `visdiv_assets`; a package stands for all its modules.
DECODING = (
    "imaging.color_modes",
    "imaging.decode",
    "imaging.deep_pixels",
    "imaging.formats",
    "imaging.levels",
    "imaging.limits",
    "imaging.other_formats",
    "imaging.silence_pillow",
    "imaging.truncation",
)
ROWS = ("sources.conform", "sources.conversations", "sources.image_columns", "sources.schema", "sources.strings")
LISTING = (
    *DECODING,
    *ROWS,
    "imaging.identity",
    "imaging.listing",
    "imaging.measures",
    "imaging.pdq",
    "imaging.resize",
)
READING = ("corpus.access",)
TURNS = ("corpus.turns", "ingest.turns")
PASS = ("ingest", "orchestration.assets.ingest", "orchestration.work.ingest", "orchestration.work.products")
EMBEDDING = (
    *DECODING,
    *ROWS,
    *READING,
    "embedding.interface",
    "embedding.shards",
    "embedding.stream",
    "imaging.id_index",
    "imaging.resize",
    *PASS,
)
CLIP = (*EMBEDDING, "embedding.clip", "embedding.torch_embedder", "embedding.turns")
JOIN = (
    "vectors.bounded_tiles",
    "vectors.join",
    "vectors.join_blocks",
    "vectors.pair_similarity",
    "vectors.partner_lists",
    "vectors.projected",
    "vectors.projected_tiles",
    "vectors.projection",
    "vectors.row_bounds",
    "vectors.tiles",
    "vectors.top_k",
)
HASHES = ("duplicates.hash_bands", "duplicates.pdq_join")
NEAR = (
    *HASHES,
    *JOIN,
    *READING,
    "duplicates.candidates",
    "duplicates.near",
    "duplicates.regions",
    "duplicates.thresholds",
    "vectors.score_normalization",
)
BLOCKS = (
    "orchestration.assets.join_shared",
    "orchestration.assets.region_joins",
    "orchestration.work.joins",
)
VERIFICATION = (
    *DECODING,
    *READING,
    "corpus.image_fetch",
    "duplicates.pair_verification",
    "duplicates.text_differences",
    "duplicates.text_verdicts",
    "duplicates.verify",
    "duplicates.verify_pairs",
    "orchestration.work.verify",
)
DECIDED = ("duplicates.decided_pairs", "duplicates.person_decisions")
LEAKS = ("contamination.benchmark_images", "contamination.images", "contamination.positions", "statistics")
MOMENTS = (*READING, "diversity.accumulate", "diversity.moments", "diversity.scores", "diversity.stored")
FACTS = (
    "contamination.texts",
    "curation.image_issues",
    "curation.reasons",
    "curation.row_findings",
    "curation.row_quality",
)


@dataclass(frozen=True)
class StageCode:
    """The code of one stage.

    Attributes:
        asset: module in `orchestration.assets` with the version.
        modules: those that its results depend on, beside the asset's own module.
        version: name of the version in the module.
    """

    asset: str
    modules: tuple[str, ...]
    version: str = "CODE_VERSION"


STAGES = {
    "subset_images": StageCode("ingest_specs", (*LISTING, *PASS), "IMAGES_VERSION"),
    "subset_turns": StageCode("ingest_specs", (*ROWS, *PASS), "TEXTS_VERSION"),
    "subset_thumbnails": StageCode(
        "ingest_specs", (*DECODING, *PASS, "imaging.resize", "imaging.thumbnails"), "THUMBNAILS_VERSION"
    ),
    "subset_features": StageCode("ingest_specs", (*DECODING, *PASS, "imaging.local_features"), "FEATURES_VERSION"),
    "quality_rows": StageCode("quality", (*TURNS, "curation.judge.ratings", "curation.quality")),
    "judge_ratings": StageCode("judge", (*DECODING, *TURNS, "curation.judge", "imaging.resize")),
    "sscd_embeddings": StageCode("ingest_specs", (*EMBEDDING, "embedding.sscd"), "VECTORS_VERSION"),
    "subset_regions": StageCode("ingest_specs", (*EMBEDDING, "embedding.regions", "embedding.sscd"), "VECTORS_VERSION"),
    "sscd_index": StageCode("indexes", ("vectors.faiss_index",)),
    "clip_embeddings": StageCode(
        "clip", (*CLIP, *TURNS, "orchestration.assets.ingest_specs", "orchestration.assets.indexes")
    ),
    "near_duplicates": StageCode("duplicates", (*NEAR, *BLOCKS)),
    "alignment": StageCode("alignment", (*READING, "curation.alignment", "imaging.id_index")),
    "clip_near_duplicates": StageCode("clip_pairs", (*NEAR, "duplicates.clip_pairs", "imaging.id_index")),
    "subset_diversity": StageCode("diversity", (*MOMENTS, "diversity.tables")),
    "rarefied_diversity": StageCode("diversity", (*MOMENTS, "diversity.rarefaction"), "RAREFIED_VERSION"),
    "contamination": StageCode("contamination", (*NEAR, *LEAKS, *BLOCKS)),
    "text_contamination": StageCode(
        "texts", (*TURNS, "contamination.texts", "statistics", "texts.columns", "texts.ngrams", "texts.overlap")
    ),
    "text_quality": StageCode(
        "text_quality",
        (
            *TURNS,
            "texts.columns",
            "texts.language",
            "texts.ngrams",
            "texts.personal_data",
            "texts.quality",
            "texts.turn_quality",
        ),
    ),
    "listed_words": StageCode(
        "listed_words",
        (
            *TURNS,
            *READING,
            "curation.listed_words",
            "curation.selection.metaclip",
            "texts.columns",
            "texts.ocr.findings",
        ),
    ),
    "image_types": StageCode(
        "image_types",
        (
            *READING,
            "curation.image_types.by_features",
            "curation.image_types.subset",
            "imaging.id_index",
            "imaging.type_features",
        ),
    ),
    "clip_image_tags": StageCode(
        "image_types",
        (
            *READING,
            "curation.image_types.subset",
            "curation.image_types.zero_shot",
            "embedding.clip",
            "imaging.id_index",
        ),
        "TAGS_VERSION",
    ),
    "text_signatures": StageCode(
        "text_duplicates",
        (*TURNS, "texts.ngrams", "texts.columns", "texts.signatures", "texts.simplify"),
        "SIGNATURES_VERSION",
    ),
    "text_duplicates": StageCode(
        "text_duplicates",
        (
            *DECIDED,
            *READING,
            "duplicates.clusters",
            "duplicates.pair_verification",
            "duplicates.text_corpus",
            "duplicates.text_excerpts",
            "duplicates.text_groups",
            "duplicates.text_near",
            "imaging.id_index",
            "orchestration.work.text_duplicates",
            "texts.near",
            "texts.signatures",
        ),
    ),
    "cross_subset_duplicates": StageCode(
        "cross_subset",
        (
            *NEAR,
            "duplicates.candidates",
            "duplicates.corpus_findings",
            "duplicates.corpus_images",
            "duplicates.corpus_join",
            "duplicates.corpus_lists",
            "duplicates.corpus_partners",
            "duplicates.corpus_state",
            "duplicates.hash_bands",
            "duplicates.pdq_join",
            "imaging.id_index",
            "orchestration.work.corpus_join",
        ),
    ),
    "verification": StageCode(
        "verification_shared", (*VERIFICATION, *LEAKS, *DECIDED, "orchestration.assets.verification")
    ),
    "calibration": StageCode(
        "calibration",
        (*DECODING, *HASHES, *JOIN, "duplicates.calibration", "duplicates.verify", "imaging.pdq", "imaging.resize"),
    ),
    "maps": StageCode("maps", (*READING, "publishing.maps")),
    "image_texts": StageCode(
        "image_texts",
        (
            *DECODING,
            *READING,
            *TURNS,
            "corpus.image_fetch",
            "orchestration.work.image_texts",
            "texts.columns",
            "texts.ngrams",
            "texts.ocr",
            "texts.personal_data",
        ),
    ),
    "image_text_leaks": StageCode(
        "image_text_leaks",
        (
            *TURNS,
            "contamination.cross_modal",
            "statistics",
            "texts.columns",
            "texts.containment",
            "texts.ngrams",
            "texts.ocr.findings",
        ),
    ),
    "masked_alignment": StageCode(
        "masked_alignment",
        (
            *CLIP,
            "corpus.image_fetch",
            "curation.alignment",
            "orchestration.work.masked_images",
            "texts.ocr.findings",
            "texts.ocr.masking",
        ),
    ),
    "selection_scores": StageCode("selection", (*READING, "curation.selection", "vectors.kmeans", "vectors.unit_rows")),
    "duplicate_clusters": StageCode(
        "clusters",
        (
            *DECIDED,
            *FACTS,
            *READING,
            "curation.corpus_clusters",
            "curation.decisions",
            "curation.linked_images",
            "curation.selection.keep_masks",
            "curation.text_rows",
            "curation.witnesses",
            "duplicates.clusters",
            "duplicates.pair_verification",
            "duplicates.stars",
            "duplicates.text_corpus",
        ),
    ),
    "curated_rows": StageCode("curation", (*DECIDED, *FACTS, "curation.witnesses")),
    "corpus_diversity": StageCode(
        "mixtures", (*MOMENTS, "curation.witnesses", "diversity.after_cleaning", "diversity.tables", "diversity.unions")
    ),
    "reports": StageCode(
        "reports",
        (
            "corpus.image_lookup",
            "imaging.thumbnails",
            "publishing.html_files",
            "publishing.reports",
            "publishing.text_cells",
        ),
    ),
}


def files_of(module: str) -> list[Path]:
    """Return the file of a module, or all files of a package, in order of path."""
    path = PACKAGE.joinpath(*module.split("."))
    found = [path.with_suffix(".py")] if path.with_suffix(".py").is_file() else sorted(path.rglob("*.py"))
    if not found:
        raise LookupError(f"there is no module visdiv_assets.{module}: correct the stages in {__file__}")
    return found


def normalized(source: str) -> str:
    """Return the syntax tree of a module as text, without docstrings, annotations and positions."""
    tree = _WithoutProse().visit(ast.parse(source))
    return ast.dump(tree)


class _WithoutProse(ast.NodeTransformer):
    def visit(self, node: ast.AST) -> ast.AST:
        node = super().visit(node)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
        return node


def hash_of(modules: tuple[str, ...]) -> str:
    """Return the hash of the code of some modules."""
    found = hashlib.sha256()
    for path in sorted({path for module in modules for path in files_of(module)}):
        found.update(f"{path.relative_to(PACKAGE).as_posix()}\n{_normalized_file(path)}\n".encode())
    return found.hexdigest()[:16]


@cache
def _normalized_file(path: Path) -> str:
    """Return the normalized code of a file, which is behind several stages."""
    return normalized(path.read_text())


def current() -> dict[str, dict[str, str]]:
    """Return the version and the hash of every stage, as they are recorded."""
    return {name: current_of(name) for name in STAGES}


def current_of(name: str) -> dict[str, str]:
    """Return the version and the hash of one stage, as they are recorded."""
    stage = STAGES[name]
    asset = f"orchestration.assets.{stage.asset}"
    version = getattr(importlib.import_module(f"visdiv_assets.{asset}"), stage.version)
    return {"code_version": version, "hash": hash_of((asset, *stage.modules))}


def recorded() -> dict[str, dict[str, str]]:
    """Return the versions and hashes that are checked in."""
    found: dict[str, dict[str, str]] = json.loads(RECORD.read_text())
    return found


def problem(stage: str, now: dict[str, str], before: dict[str, str] | None) -> str | None:
    """Return one line about a stage whose code is not the recorded one; None if it is."""
    if now == before:
        return None
    if before is None or now["code_version"] != before["code_version"]:
        return f"{stage}: run `{COMMAND}` to record CODE_VERSION {now['code_version']}"
    version = STAGES[stage].version
    return (
        f"{stage}: its code has changed: raise {version} in orchestration/assets/{STAGES[stage].asset}.py if its "
        f"results change, then run `{COMMAND}` to record the code"
    )


def main() -> None:
    """Record the versions and hashes of all stages."""
    RECORD.write_text(json.dumps(current(), indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
