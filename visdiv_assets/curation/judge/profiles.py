"""The criteria by which a judge rates turns, and their prompts, which are files of this package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from visdiv_assets.storage.manifest import digest_of

#: What a judge may see of a turn.
QUESTION, ANSWER, CAPTION, IMAGE = "question", "answer", "caption", "image"

#: The scores of the MLM filter (Wang et al., 2024, arXiv 2403.02677).
MLM_SCORES = (
    "image_text_matching",
    "object_detail_fulfillment",
    "caption_text_quality",
    "semantic_understanding",
)

#: Raised when requests change in another way than by the text of a prompt, so that answers are asked anew.
PROTOCOL_VERSION = "1"


@dataclass(frozen=True)
class Criterion:
    """One criterion.

    Attributes:
        name: column of its ratings.
        sees: what the judge is shown of a turn.
        prompt: what it is asked.
    """

    name: str
    sees: tuple[str, ...]
    prompt: str


@dataclass(frozen=True)
class Profile:
    """A set of criteria with one scale.

    Attributes:
        name: its name in the settings.
        lowest: the worst rating.
        highest: the best rating.
        criteria: in the order of their columns.
        system: the prompt that all requests begin with; the form of the reply is left open, as `{form}`.
        flag: what is asked about texts in images, beside the rating.
        version: hash of all prompts and of the protocol, 12 hex characters.
    """

    name: str
    lowest: int
    highest: int
    criteria: tuple[Criterion, ...]
    system: str
    flag: str
    version: str


#: What each criterion of FineVision is rated from, as its authors did: their text-only judge sees question and answer,
#: visual dependency is rated from the question alone, image correspondence from image and question.
_FINEVISION = {
    "relevance": (QUESTION, ANSWER),
    "image_correspondence": (QUESTION, IMAGE),
    "visual_dependency": (QUESTION,),
    "formatting": (QUESTION, ANSWER),
}

#: Name, worst and best rating, what the judge sees by criterion.
_PROFILES: dict[str, tuple[int, int, Mapping[str, tuple[str, ...]]]] = {
    "finevision": (1, 5, _FINEVISION),
    "mlm_filter": (1, 100, dict.fromkeys(MLM_SCORES, (CAPTION, IMAGE))),
}

PROFILE_NAMES = tuple(_PROFILES)


@lru_cache
def load_profile(name: str) -> Profile:
    """Return a profile of `PROFILE_NAMES`, with its prompts."""
    lowest, highest, seen = _PROFILES[name]
    criteria = tuple(Criterion(each, sees, _read(f"{name}/{each}.md")) for each, sees in seen.items())
    system = _read("system.md")
    for field, value in (("lowest", lowest), ("highest", highest), ("low_means", "worst"), ("high_means", "best")):
        system = system.replace(f"{{{field}}}", str(value))
    flag = _read("flag_text.md")
    version = digest_of([PROTOCOL_VERSION, system, flag, [[each.name, each.sees, each.prompt] for each in criteria]])
    return Profile(name, lowest, highest, criteria, system, flag, version[:12])


def _read(path: str) -> str:
    return resources.files(__package__).joinpath("prompts", *path.split("/")).read_text("utf-8")
