"""Tests of faults: temporary ones are retried, the others become one line that says what to do."""

from __future__ import annotations

import logging
import random
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from visdiv_assets.errors import VisdivError
from visdiv_assets.sources import COLUMNS, Downloads, HubSource, Kind, ParquetFolderSource
from visdiv_assets.sources.hub import retries
from visdiv_assets.sources.hub.client import HubClient
from visdiv_assets.sources.hub.errors import asked_wait
from visdiv_assets.sources.hub.retries import Fault, Retries, retry
from visdiv_assets_tests.testing.hub_server import FAULTS, QUICK, HubServer, folder_files, serving

DATASET = "HuggingFaceM4/FineVision"
URI = f"hf://datasets/{DATASET}"
SUBSET = "clipart_things"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def hub(sample: Path) -> Iterator[HubServer]:
    with serving() as server:
        server.add(DATASET, folder_files(sample / "subsets"))
        yield server


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds of each wait, which take no time in tests."""
    found: list[float] = []
    monkeypatch.setattr(retries, "sleep", found.append)
    return found


def source_of(client: HubClient, folder: Path, uri: str = URI) -> HubSource:
    return HubSource(uri, downloads=Downloads(folder, 10**9, 2), client=client)


def refusal(client: HubClient, folder: Path, uri: str = URI) -> str:
    """The error message of reading a subset's first file."""
    source = source_of(client, folder, uri)
    with pytest.raises(VisdivError) as caught:
        list(source.batches(Kind.SUBSET, SUBSET, source.shards(Kind.SUBSET, SUBSET)[0], columns=["source"]))
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Temporary ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
def test_failures_of_a_fifth_of_requests_change_no_result(
    hub: HubServer, sample: Path, tmp_path: Path, fault: str
) -> None:
    hub.faulty, hub.faults, hub.page_length, hub.random = 0.2, [fault], 1, random.Random(2)
    local, remote = ParquetFolderSource(sample / "subsets"), source_of(hub.client(), tmp_path)
    for name in remote.subsets():
        for ours, theirs in zip(remote.shards(Kind.SUBSET, name), local.shards(Kind.SUBSET, name), strict=True):
            batches = [
                list(source.batches(Kind.SUBSET, name, shard, columns=COLUMNS))
                for source, shard in ((remote, ours), (local, theirs))
            ]
            assert batches[0] == batches[1]
        positions = [(row, 0) for row in range(5, 60, 9)]
        assert remote.fetch(Kind.SUBSET, name, positions) == local.fetch(Kind.SUBSET, name, positions)
    assert hub.failed.total() >= 3


def test_each_retry_is_logged(hub: HubServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hub.faulty, hub.faults = 0.5, ["500"]
    with caplog.at_level(logging.WARNING, "visdiv_assets"):
        source_of(hub.client(), tmp_path).shards(Kind.SUBSET, SUBSET)
    assert len(caplog.messages) == hub.failed.total() > 0
    assert all("HTTP 500 Internal Server Error; attempt " in message for message in caplog.messages)


def test_a_partial_download_is_resumed(hub: HubServer, tmp_path: Path) -> None:
    source = source_of(hub.client(), tmp_path)
    shard = source.shards(Kind.SUBSET, SUBSET)[0]
    sent = hub.sent
    hub.always = "short"
    with pytest.raises(VisdivError, match=r"could not be downloaded in 8 attempts \(.*connection broke"):
        next(source.batches(Kind.SUBSET, SUBSET, shard, columns=["source"]))
    hub.always = None
    next(source.batches(Kind.SUBSET, SUBSET, shard, columns=["source"]))
    # Each attempt received half of the missing bytes, and no byte twice.
    assert hub.sent - sent == shard.size_bytes


def test_waits_double_and_are_never_longer_than_the_longest(waits: list[float]) -> None:
    def attempt() -> None:
        raise Fault("it is down")

    with pytest.raises(VisdivError, match=r"^the file could not be downloaded in 9 attempts \(it is down\): run again"):
        retry(attempt, "the file", Retries(attempts=9, first_wait=1, longest_wait=30))
    assert len(waits) == 8
    for number, wait in enumerate(waits):
        assert min(30, 2**number) / 2 <= wait <= min(30, 2**number)
    assert len(set(waits[-3:])) == 3, "by chance, so that processes do not come back together"


def test_the_wait_that_a_server_asks_for_is_kept(waits: list[float]) -> None:
    asked = iter([7.0, 3.0])

    def attempt() -> str:
        seconds = next(asked, None)
        if seconds is None:
            return "done"
        raise Fault("HTTP 429 Too Many Requests", asked=seconds)

    assert retry(attempt, "the file", Retries(first_wait=0.5)) == "done"
    assert 7 <= waits[0] <= 7.5
    assert 3 <= waits[1] <= 3.5


def test_a_server_that_asks_for_too_long_is_not_waited_for(waits: list[float]) -> None:
    def attempt() -> None:
        raise Fault("HTTP 429 Too Many Requests", asked=86_400)

    with pytest.raises(VisdivError, match=r"asks to wait 86400 seconds .*run again later, or set HF_TOKEN"):
        retry(attempt, "the file", Retries())
    assert waits == []


def test_the_wait_is_read_from_the_answers_headers() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert asked_wait({"retry-after": "12"}) == 12
    assert 97 < (asked_wait({"retry-after": soon}) or 0) <= 100
    assert asked_wait({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0
    assert asked_wait({"ratelimit": '"api";r=0;t=55'}) == 55
    assert asked_wait({"ratelimit": '"api";r=3;t=55'}) is None
    assert asked_wait({}) is None


# Permanent ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("429", "HTTP 429 Too Many Requests"),
        ("500", "HTTP 500 Internal Server Error"),
        ("drop", "the connection broke"),
        ("flip", "the checksum of the content is wrong"),
    ],
)
def test_what_fails_each_time_is_one_line(hub: HubServer, tmp_path: Path, fault: str, reason: str) -> None:
    source = source_of(hub.client(), tmp_path)
    shard = source.shards(Kind.SUBSET, SUBSET)[0]
    hub.always = fault
    with pytest.raises(VisdivError) as caught:
        list(source.batches(Kind.SUBSET, SUBSET, shard, columns=["source"]))
    message = str(caught.value)
    assert message.startswith(f"{URI}/{SUBSET}/{shard.name} could not be downloaded in 8 attempts ({reason}")
    assert message.endswith("run again later; downloaded data is kept")
    assert hub.failed[fault] == 8
    assert not [path for path in (tmp_path / "files").iterdir() if path.suffix != ".part"]


def test_a_silent_server_is_given_up(hub: HubServer, tmp_path: Path) -> None:
    hub.silence = 0.4
    client = hub.client(timeout=0.05, retries=Retries(attempts=3, first_wait=0.001))
    assert "could not be downloaded in 3 attempts (timed out" in refusal(client, tmp_path)


def test_being_offline_is_one_line_after_few_attempts(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        line = refusal(HubClient(address, False, QUICK, 1), tmp_path)
    assert line.startswith(f"{URI}: the server cannot be reached (no connection: ")
    assert "check the network, the proxy and HF_ENDPOINT" in line


def test_a_server_lost_during_a_run_gets_all_attempts(hub: HubServer, tmp_path: Path) -> None:
    client = hub.client()
    assert source_of(client, tmp_path).subsets()
    client.endpoint = "http://127.0.0.1:9"
    assert "could not be downloaded in 8 attempts (no connection" in refusal(client, tmp_path)


def test_the_offline_mode_of_huggingface_hub_is_named(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "cannot be read while HF_HUB_OFFLINE is set: unset it" in refusal(hub.client(), tmp_path)
    assert hub.requests.total() == 0


def test_an_invalid_address_is_refused(tmp_path: Path) -> None:
    line = refusal(HubClient("huggingface", False, QUICK, 1), tmp_path)
    assert line.startswith("huggingface is not the address of a Hub (")
    assert line.endswith("correct or unset HF_ENDPOINT")


def test_a_gated_dataset_asks_to_accept_its_terms(hub: HubServer, tmp_path: Path) -> None:
    hub.repositories[DATASET].gated = True
    line = refusal(hub.client(), tmp_path)
    assert line == (
        f"{URI} is gated: accept its terms at {hub.url}/datasets/{DATASET}, and set HF_TOKEN to a token of the same "
        "account"
    )
    assert hub.requests.total() == 1, "it is not asked again"
    assert source_of(hub.client("hf_good"), tmp_path).shards(Kind.SUBSET, SUBSET)
    assert "the Hub does not accept your token" in refusal(hub.client("hf_bad"), tmp_path)


def test_a_missing_dataset_revision_or_file_is_said_at_once(hub: HubServer, tmp_path: Path) -> None:
    line = refusal(hub.client(), tmp_path, "hf://datasets/HuggingFaceM4/FineVison")
    assert line.startswith("hf://datasets/HuggingFaceM4/FineVison is not on the Hub, or is private (HTTP 401): check")
    line = refusal(hub.client(), tmp_path, f"{URI}@v9")
    assert line.startswith(f"{URI} has no such revision: check the part after the @ (Invalid rev id: v9)")
    assert hub.requests.total() == 2
    hub.requests.clear()
    source = source_of(hub.client(), tmp_path)
    first, second = source.shards(Kind.SUBSET, SUBSET)
    # A file that is listed and missing, as after a rewritten history.
    hub.lost = f"{SUBSET}/{second.name}"
    assert list(source.batches(Kind.SUBSET, SUBSET, first, columns=["source"]))
    with pytest.raises(VisdivError, match=rf"{second.name} no longer exists: run again"):
        list(source.batches(Kind.SUBSET, SUBSET, second, columns=["source"]))
