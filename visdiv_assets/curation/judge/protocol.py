"""The messages of a request to a judge, and the check of its reply.

A reply is a JSON object with `rating`, an integer on the profile's scale, and nothing else; where images are shown,
also `addressed`, 1 if a text in an image speaks to the judge and 0 if not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from visdiv_assets.curation.judge.profiles import IMAGE, Criterion, Profile

RATING, ADDRESSED = "rating", "addressed"

#: Tokens that a reply may have; a rating needs about ten.
MAX_REPLY_TOKENS = 256


class BadReplyError(Exception):
    """A reply that is not what was asked for; its text says why, without a part of the reply."""


class Reply(NamedTuple):
    """A checked reply.

    Attributes:
        rating: on the profile's scale.
        addressed: whether the judge has seen a text in an image that speaks to it.
    """

    rating: int
    addressed: bool


def request_body(
    model: str,
    profile: Profile,
    criterion: Criterion,
    texts: Sequence[tuple[str, str]],
    images: Sequence[str],
    code: str,
) -> dict[str, Any]:
    """Return the body of a request for chat completions.

    Args:
        model: its name at the endpoint.
        profile: whose scale counts.
        criterion: what is rated.
        texts: what the texts are, such as "question", and the texts.
        images: data URLs of the images.
        code: what the texts do not contain: it is written on the lines that delimit them.
    """
    form = {RATING: f"{profile.lowest} to {profile.highest}", **({ADDRESSED: "0 or 1"} if images else {})}
    system = profile.system.replace("{form}", json.dumps(form))
    marked = delimited(texts, code)
    flag = [profile.flag] if images else []
    parts: list[dict[str, Any]] = [{"type": "text", "text": "\n".join([criterion.prompt, *flag, *marked])}]
    parts += [{"type": "image_url", "image_url": {"url": url}} for url in images]
    schema = {"name": RATING, "strict": True, "schema": reply_schema(profile, criterion)}
    return {
        "model": model,
        "messages": [{"role": "system", "content": system}, {"role": "user", "content": parts}],
        "temperature": 0,
        "max_tokens": MAX_REPLY_TOKENS,
        "response_format": {"type": "json_schema", "json_schema": schema},
    }


def delimited(texts: Sequence[tuple[str, str]], code: str) -> list[str]:
    """Return texts between lines that name them, and hold a code that the texts do not contain."""
    return [f"--- begin {name} {code} ---\n{text}\n--- end {name} {code} ---" for name, text in texts]


def reply_schema(profile: Profile, criterion: Criterion) -> dict[str, Any]:
    """Return the JSON schema of a reply, to which some servers hold the model."""
    scales = _scales(profile, criterion)
    return {
        "type": "object",
        "properties": {
            name: {"type": "integer", "minimum": low, "maximum": high} for name, (low, high) in scales.items()
        },
        "required": list(scales),
        "additionalProperties": False,
    }


def parse_reply(body: bytes, profile: Profile, criterion: Criterion) -> Reply:
    """Check the body of a response.

    Raises:
        BadReplyError: it is not a chat completion, or its content is not a JSON object of integers on their scales and
            nothing else.
    """
    try:
        content = json.loads(body)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise BadReplyError("the response is not a chat completion") from None
    try:
        found = json.loads(content)
    except (ValueError, TypeError, RecursionError):
        raise BadReplyError("the reply is not JSON") from None
    scales = _scales(profile, criterion)
    if not isinstance(found, dict) or found.keys() != scales.keys():
        raise BadReplyError("the reply has other fields than asked for")
    for name, (low, high) in scales.items():
        # In JSON true is no number, in Python it is.
        if type(found[name]) is not int or not low <= found[name] <= high:
            raise BadReplyError(f"the reply's {name} is not an integer from {low} to {high}")
    return Reply(found[RATING], bool(found.get(ADDRESSED)))


def _scales(profile: Profile, criterion: Criterion) -> dict[str, tuple[int, int]]:
    flag = {ADDRESSED: (0, 1)} if IMAGE in criterion.sees else {}
    return {RATING: (profile.lowest, profile.highest), **flag}


def tokens_of(body: bytes) -> tuple[int, int]:
    """Return the tokens of a request and of its response, as the server has counted them; 0 if it does not say."""
    try:
        usage = json.loads(body)["usage"]
        counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return 0, 0
    tokens = [count if type(count) is int and count >= 0 else 0 for count in counts]
    return tokens[0], tokens[1]
