"""Find personal data and keys in texts: which kind, how many, and where the first stands; never the values.

The patterns of e-mail addresses and public IP addresses follow `PIIFormatter` of huggingface/datatrove
(src/datatrove/pipeline/formatters/pii.py), those of keys Yelp/detect-secrets 1.5 (detect_secrets/plugins). Numbers that
look like phone numbers are checked with Google's libphonenumber.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

#: The country whose phone numbers are found without a country code; its numbers must be written with separators.
PHONE_REGION = "US"

_EMAIL = r"\b[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b"
_IP = r"(?:\d{1,3}\.){3}\d{1,3}"
_PHONE = r"\+\d(?:[ ().-]{0,2}\d){7,14}|\(\d{3}\) ?\d{3}[-. ]\d{4}|\b\d{3}[-.]\d{3}[-.]\d{4}\b"
_LAST_GROUP = re.compile(r"[ ().-]+\d+$")
# Parts whose beginning may occur again within them are bounded, or the time would grow with the square of the length.
_KEY = "|".join(
    (
        r"\b(?:A3T[A-Z0-9]|ABIA|ACCA|AKIA|ASIA)[0-9A-Z]{16}\b",  # AWS
        r"\bgh[opsur]_[A-Za-z0-9]{36}\b",  # GitHub
        r"\bgithub_pat_[A-Za-z0-9_]{82}\b",
        r"\bglpat-[A-Za-z0-9_-]{20,22}\b",  # GitLab
        r"\bxox[abposr]-(?:\d+-)+[A-Za-z0-9]+",  # Slack
        r"\b[rs]k_live_[0-9a-zA-Z]{24}",  # Stripe
        r"\bAIza[0-9A-Za-z_-]{35}",  # Google
        r"\bsk-[A-Za-z0-9_-]{0,200}[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}",  # OpenAI
        r"\bhf_[A-Za-z]{34}\b",  # Hugging Face
        r"\bpypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{70,}",
        r"\beyJ[A-Za-z0-9_-]{10,1000}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+",  # JSON Web Token
        r"-----BEGIN (?:[A-Z0-9]+ ){0,2}PRIVATE KEY",
    )
)


def _is_public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False


def _is_phone(number: str) -> bool:
    """Return whether a text begins with a valid number; groups of digits after it may belong to something else."""
    # Loading the definitions must not pay for it.
    import phonenumbers

    while number:
        try:
            if phonenumbers.is_valid_number(phonenumbers.parse(number, PHONE_REGION)):
                return True
        except phonenumbers.NumberParseException:
            return False
        number = _LAST_GROUP.sub("", number) if _LAST_GROUP.search(number) else ""
    return False


@dataclass(frozen=True)
class _Kind:
    """A kind of personal data.

    Attributes:
        hint: pattern of RE2 that every text with it matches; few other texts do.
        pattern: what a value looks like.
        is_value: tells whether what looks like a value is one.
    """

    hint: str
    pattern: re.Pattern[str]
    is_value: Callable[[str], bool] = lambda text: True


_KINDS = {
    "email": _Kind(r"@", re.compile(_EMAIL)),
    "phone": _Kind(_PHONE, re.compile(rf"(?<![\w.+])(?:{_PHONE})(?![\w])"), _is_phone),
    "ip_address": _Kind(_IP, re.compile(rf"(?<![\w.]){_IP}(?![\w]|\.\d)"), _is_public),
    "key": _Kind(_KEY, re.compile(_KEY)),
}
#: What is found.
KINDS = tuple(_KINDS)

FOUND_SCHEMA = pa.schema([("text", pa.int64()), ("kind", pa.string()), ("count", pa.int32()), ("position", pa.int32())])


def find_personal_data(texts: pa.Array) -> pa.Table:
    """Find personal data in texts.

    Args:
        texts: strings [n], null or not.

    Returns:
        table of `FOUND_SCHEMA`, sorted by text: for every text and kind that it has, the index of the text, the kind,
        the number of values, and the index of the character with which the first begins. Values are not returned.
    """
    found: list[tuple[int, str, int, int]] = []
    for name, kind in _KINDS.items():
        hits = pc.indices_nonzero(pc.fill_null(pc.match_substring_regex(texts, kind.hint), False))
        for index, text in zip(hits.to_pylist(), texts.take(hits).to_pylist(), strict=True):
            starts = [match.start() for match in kind.pattern.finditer(text) if kind.is_value(match[0])]
            if starts:
                found.append((index, name, len(starts), starts[0]))
    found.sort(key=lambda each: (each[0], KINDS.index(each[1])))
    columns = list(zip(*found, strict=True)) or [()] * len(FOUND_SCHEMA)
    return pa.table([pa.array(c, f.type) for c, f in zip(columns, FOUND_SCHEMA, strict=True)], schema=FOUND_SCHEMA)
