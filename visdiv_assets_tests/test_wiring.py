from __future__ import annotations

from pathlib import Path

import pytest

from visdiv_assets import wiring
from visdiv_assets.settings import Settings
from visdiv_assets.sources import Downloads, opening


def test_downloads_follow_the_settings(tmp_path: Path) -> None:
    given = Settings(
        source="hf://datasets/a/b",
        data=str(tmp_path),
        download_cache_gigabytes=0.5,
        download_threads=7,
        disk_reserve_gigabytes=3,
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(opening, "HubSource", lambda uri, **arguments: (uri, arguments["downloads"]))
        opened: object = wiring.open_source(given)
    assert opened == (given.source, Downloads(tmp_path / "downloads", 500_000_000, 7, 3 * 10**9))
