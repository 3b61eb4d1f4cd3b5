"""What rating a subset would ask of a judge: requests and tokens, from its stored turns."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from visdiv_assets.corpus.tables import LakeTable
from visdiv_assets.curation.judge.images import MAX_IMAGES, MAX_SIDE
from visdiv_assets.curation.judge.profiles import ANSWER, CAPTION, IMAGE, QUESTION, Profile
from visdiv_assets.curation.quality import is_rating
from visdiv_assets.imaging.limits import Decoding, has_decoding
from visdiv_assets.ingest.turns import RATING_COLUMNS
from visdiv_assets.storage.lake import Lake
from visdiv_assets.storage.manifest import Manifest

#: Characters of a token of English text, side in pixels of the square of an image that is a token (Qwen2.5-VL), and
#: tokens of a reply. Other models and languages differ.
CHARACTERS, PATCH_SIDE, REPLY_TOKENS = 4, 28, 12

#: Turns whose texts are measured.
_SAMPLE = 2_000


class Cost(NamedTuple):
    """An estimate.

    Attributes:
        turns: turns that lack a rating.
        requests: questions to ask, without retries; answers in the cache are not subtracted.
        tokens_in: tokens of the requests.
        tokens_out: tokens of the replies.
    """

    turns: int = 0
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0

    def plus(self, other: Cost) -> Cost:
        """Return the sum."""
        return Cost(*(mine + others for mine, others in zip(self, other, strict=True)))


def estimate_cost(
    lake: Lake, subset: str, profile: Profile, model: str, *, source_first: bool, decoding: Decoding
) -> Cost | None:
    """Estimate what rating a subset would ask; None if its turns are not stored yet.

    Nothing is asked if the stored ratings are complete and current.

    Args:
        lake: where the turns are.
        subset: its name.
        profile: the criteria.
        model: the judge's name.
        source_first: whether to ask only for ratings that the source lacks.
        decoding: how images are decoded before the judge sees them.
    """
    turns, images = (lake.manifest(table, subset) for table in (LakeTable.SUBSET_TURNS, LakeTable.SUBSET_IMAGES))
    if turns is None or images is None:
        return None
    asked = {"profile": profile.name, "prompts": profile.version, "model": model, "source_first": source_first}
    if _is_done(lake, turns, asked, decoding):
        return Cost()
    if not turns.files("turns"):
        return Cost()
    scores = [name for name in RATING_COLUMNS if name.removesuffix("_ratings") in {c.name for c in profile.criteria}]
    lacking = {criterion.name: 0 for criterion in profile.criteria}
    open_turns = 0
    for batch in lake.dataset(turns, "turns").to_batches(columns=scores or ["turn"]):
        given = {name.removesuffix("_ratings"): is_rating(batch[name]) for name in scores if source_first}
        none = np.zeros(batch.num_rows, bool)
        any_lacks = none.copy()
        for name in lacking:
            lacks = ~given.get(name, none)
            lacking[name] += int(lacks.sum())
            any_lacks |= lacks
        open_turns += int(any_lacks.sum())
    sizes = _text_tokens(lake.dataset(turns, "turns").head(_SAMPLE, columns=["user", "assistant"]))
    listed = lake.read(images, columns=["row", "width", "height", "status"], where=pc.field("status") == "ok")
    with_images, image_tokens = _image_tokens(listed, int(images.facts["rows"]))
    requests = tokens = 0.0
    for criterion in profile.criteria:
        share = with_images if IMAGE in criterion.sees or criterion.name == "visual_dependency" else 1.0
        prompt = (len(profile.system) + len(criterion.prompt)) / CHARACTERS
        content = sum(image_tokens if name == IMAGE else sizes[name] for name in criterion.sees)
        requests += lacking[criterion.name] * share
        tokens += lacking[criterion.name] * share * (prompt + content)
    return Cost(open_turns, round(requests), round(tokens), round(requests * REPLY_TOKENS))


def _is_done(lake: Lake, turns: Manifest, asked: dict[str, object], decoding: Decoding) -> bool:
    """Return whether the present turns have all ratings that are asked for."""
    judged = lake.manifest(LakeTable.JUDGE_RATINGS, turns.partition)
    if judged is None or judged.inputs.get(turns.table) != turns.digest or not asked.items() <= judged.settings.items():
        return False
    if not has_decoding(judged.settings, decoding):
        return False
    return not judged.facts["questions_open"] and not judged.facts["shards_left"]


def _text_tokens(sample: pa.Table) -> dict[str, float]:
    """Return the mean number of tokens of a question and of an answer."""
    question, answer = (
        (pc.mean(pc.utf8_length(sample[name])).as_py() or 0.0) / CHARACTERS for name in ("user", "assistant")
    )
    return {QUESTION: question, ANSWER: answer, CAPTION: answer}


def _image_tokens(listed: pa.Table, rows: int) -> tuple[float, float]:
    """Return the share of rows with images, and the mean number of tokens of the images of such a row."""
    if not listed.num_rows or not rows:
        return 0.0, 0.0
    width, height = (listed[name].to_numpy().astype(np.float64) for name in ("width", "height"))
    shrink = np.minimum(1.0, MAX_SIDE / np.maximum(width, height))
    tokens = np.ceil(width * shrink / PATCH_SIDE) * np.ceil(height * shrink / PATCH_SIDE)
    used = pc.count_distinct(listed["row"]).as_py()
    return used / rows, min(float(tokens.sum()) / used, MAX_IMAGES * math.ceil(MAX_SIDE / PATCH_SIDE) ** 2)
