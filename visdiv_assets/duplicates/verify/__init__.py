"""Decide from local features and pixels whether two images are copies of one another.

`prepare` each image once, `verify` pairs of prepared images, and `explain` a pair for a report. All three take
`VerifyParams`, by default `DEFAULT_PARAMS`. OpenCV is imported when it is first needed, not with this package.
"""

from __future__ import annotations

from visdiv_assets.duplicates.verify.evidence import KINDS, MIN_CONFIDENCE, REASONS, TEXTS_DIFFER, UNDECIDED, Evidence
from visdiv_assets.duplicates.verify.explanation import Explanation, explain
from visdiv_assets.duplicates.verify.params import DEFAULT_PARAMS, VERIFY_VERSION, VerifyParams
from visdiv_assets.duplicates.verify.prepared import PreparedImage, prepare_pixels
from visdiv_assets.duplicates.verify.rarity import Background, make_background
from visdiv_assets.duplicates.verify.result import Screened
from visdiv_assets.duplicates.verify.subject import Subject, prepare, stored_subject
from visdiv_assets.duplicates.verify.verdict import compare_pixels, screen, verify, verify_pair

__all__ = [
    "DEFAULT_PARAMS",
    "KINDS",
    "MIN_CONFIDENCE",
    "REASONS",
    "TEXTS_DIFFER",
    "UNDECIDED",
    "VERIFY_VERSION",
    "Background",
    "Evidence",
    "Explanation",
    "PreparedImage",
    "Screened",
    "Subject",
    "VerifyParams",
    "compare_pixels",
    "explain",
    "make_background",
    "prepare",
    "prepare_pixels",
    "screen",
    "stored_subject",
    "verify",
    "verify_pair",
]
