"""The cluster that the engine uses: one on this machine that listens on loopback, or one at an address."""

from __future__ import annotations

from importlib.util import find_spec
from ipaddress import IPv6Address, ip_address

import psutil
import pytest

from visdiv_assets.errors import VisdivError
from visdiv_assets.orchestration.engines import RayEngine, Worker
from visdiv_assets_tests.orchestration.engines.works import Squares

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed")


def is_loopback(address: str) -> bool:
    found = ip_address(address)
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return (mapped or found).is_loopback


@pytest.mark.nightly
def test_a_cluster_started_here_listens_on_loopback_only() -> None:
    engine = RayEngine("", Worker("cpu", 1))
    try:
        list(engine.map(Squares(False), [1]))
        processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
        names = {process.name() for process in processes}
        listening = {
            connection.laddr.ip
            for process in processes
            for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        }
    finally:
        engine.close()
    assert {"gcs_server", "raylet"} <= names
    assert listening
    assert {address for address in listening if not is_loopback(address)} == set()


def test_a_cluster_that_is_away_is_one_line() -> None:
    with pytest.raises(VisdivError, match=r"the Ray cluster at 127\.0\.0\.1:1 cannot be used") as caught:
        list(RayEngine("127.0.0.1:1", Worker("cpu", 1)).map(Squares(False), [1]))
    assert "\n" not in str(caught.value)
