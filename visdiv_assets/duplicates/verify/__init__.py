"""Deciding from the pixels whether two images are copies of one another.

`prepare` an image once, `verify` pairs of prepared images, `explain` a pair for a report. The modules import OpenCV
when they first need it, not at import.
"""

from __future__ import annotations

from visdiv_assets.duplicates.verify.evidence import KINDS, REASONS, Evidence
from visdiv_assets.duplicates.verify.explanation import Explanation, explain
from visdiv_assets.duplicates.verify.prepared import Prepared, prepare
from visdiv_assets.duplicates.verify.verdict import verify, verify_pair

__all__ = ["KINDS", "REASONS", "Evidence", "Explanation", "Prepared", "explain", "prepare", "verify", "verify_pair"]
