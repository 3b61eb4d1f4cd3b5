"""Decide from the pixels whether two images are copies of one another.

`prepare` each image once, `verify` pairs of prepared images, and `explain` a pair for a report. All three take
`VerifyParams`, by default `DEFAULT_PARAMS`. OpenCV is imported when it is first needed, not with this package.
"""

from __future__ import annotations

from visdiv_assets.duplicates.verify.evidence import KINDS, REASONS, Evidence
from visdiv_assets.duplicates.verify.explanation import Explanation, explain
from visdiv_assets.duplicates.verify.params import DEFAULT_PARAMS, VERIFY_VERSION, VerifyParams
from visdiv_assets.duplicates.verify.prepared import PreparedImage, prepare
from visdiv_assets.duplicates.verify.verdict import verify, verify_pair

__all__ = [
    "DEFAULT_PARAMS",
    "KINDS",
    "REASONS",
    "VERIFY_VERSION",
    "Evidence",
    "Explanation",
    "PreparedImage",
    "VerifyParams",
    "explain",
    "prepare",
    "verify",
    "verify_pair",
]
