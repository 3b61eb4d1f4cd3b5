"""Ray for the tests of engines."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _clusters_without_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start clusters, which listen on loopback only, without tokens.

    `ray.init` would turn tokens on in this process and in the environment. The next test has the environment of before,
    so the nodes that it starts would refuse this process, which waited for them forever.
    """
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
