"""Reduce a text to what near duplicates have in common, as datatrove does before MinHash.

Follows `simplify_text` of huggingface/datatrove (src/datatrove/utils/text.py) with its defaults.
"""

from __future__ import annotations

import re
import unicodedata

from visdiv_assets.texts.ngrams import WORD

#: What datatrove removes: punctuation, and control characters.
_PUNCTUATION = "!/—”:％１〈&(、━\\【#%「」，】；+^]~“《„';’{|∶´[=-`*．（–？！：$～«〉,><》)?）。…@_.\"}►»" + "".join(  # noqa: RUF001
    chr(code) for first, end in ((0, 9), (11, 13), (13, 32), (127, 160)) for code in range(first, end)
)
_REMOVED = str.maketrans("", "", _PUNCTUATION)
_NUMBER = re.compile(r"\d+")


def simplify_text(text: str) -> str:
    """Return a text in lower case, without punctuation and accents (NFD), every number as 0, with single spaces."""
    text = " ".join(text.lower().split()).translate(_REMOVED)
    if not text.isascii():
        text = "".join(char for char in unicodedata.normalize("NFD", text) if unicodedata.category(char) != "Mn")
    return _NUMBER.sub("0", text).strip()


def simplified_words(text: str) -> list[str]:
    """Split a simplified text into words; every Chinese or Japanese character is a word."""
    simple = simplify_text(text)
    # Without punctuation, only other scripts have words that no space separates.
    return simple.split() if simple.isascii() else WORD.findall(simple)


def numbers_of(text: str) -> str:
    """Return the numbers of a text in order, which `simplify_text` does not keep, separated by spaces."""
    return " ".join(_NUMBER.findall(text))
