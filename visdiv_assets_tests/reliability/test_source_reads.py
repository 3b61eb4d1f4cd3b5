"""How often a whole run reads its source."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from visdiv_assets_tests.testing.source_reads import count_opens, count_served

pytestmark = pytest.mark.nightly


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_a_shard_is_opened_at_most_five_times(tmp_path: Path) -> None:
    opens = count_opens(tmp_path)
    assert len(opens) == 7
    assert max(opens.values()) <= 5


def test_a_hub_serves_little_more_than_the_dataset(tmp_path: Path) -> None:
    served = count_served(tmp_path, cache_gigabytes=1)
    assert max(served.values()) <= 1.1
