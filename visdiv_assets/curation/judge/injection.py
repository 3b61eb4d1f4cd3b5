"""Texts that seem to tell a judge how to rate them, by a list of phrases that is a file of this package."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources


def suspicious_phrase(*texts: str | None) -> str | None:
    """Return the first passage of some texts that matches a phrase of the list, at most 80 characters; None if none."""
    for text in texts:
        if text and (found := _phrases().search(" ".join(text.split()))):
            return found[0][:80]
    return None


@lru_cache
def _phrases() -> re.Pattern[str]:
    lines = resources.files(__package__).joinpath("injection_phrases.txt").read_text("utf-8").splitlines()
    phrases = [line for line in lines if line and not line.startswith("#")]
    return re.compile("|".join(f"(?:{phrase})" for phrase in phrases), re.IGNORECASE)
