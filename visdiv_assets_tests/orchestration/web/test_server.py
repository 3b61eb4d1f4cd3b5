"""The web server of the UI with its guard."""

from __future__ import annotations

from pathlib import Path


def test_only_the_web_server_is_replaced_by_the_guarded_one() -> None:
    from visdiv_assets.orchestration.web.services import guarded_command

    assert guarded_command(["python", "-m", "dagster_webserver", "--port", "3"], ["a"]) == [
        *("python", "-m", "visdiv_assets.orchestration.web.server", "a", "--", "--port", "3")
    ]
    daemon = ["python", "-m", "dagster._daemon", "run"]
    assert guarded_command(daemon, ["a"]) == daemon


def test_the_guard_stands_before_all_other_middleware(tmp_path: Path) -> None:
    from visdiv_assets.orchestration.web.server import guarded

    first, *others = guarded(["a"], tmp_path)(None).build_middleware()
    assert repr(first) == "Middleware(Guard, names=['a'])"
    assert others
