"""A Hugging Face Hub on the loopback address, as far as reading datasets needs one, whose requests can be made to fail.

It answers what the real client asks: a dataset's commit, its list of files in pages, and files with ranges, which lie
at a storage that `resolve` redirects to if they are in LFS. Faults are drawn by chance from a seed.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import sleep
from urllib.parse import parse_qs, unquote, urlsplit

from visdiv_assets.sources.hub.client import HubClient
from visdiv_assets.sources.hub.retries import Retries

#: Waits that a test can afford.
QUICK = Retries(first_wait=0.002, longest_wait=0.02)

#: What can happen to a request.
FAULTS = ("429", "500", "drop", "short", "flip")


@dataclass
class Repository:
    """A dataset: its files by path, at each of its revisions."""

    revisions: dict[str, dict[str, bytes]]
    gated: bool = False
    #: Files that are in git itself, as small files are.
    not_in_lfs: set[str] = field(default_factory=set)

    def commit(self, revision: str) -> str:
        """The commit that a branch is at: it changes with any file."""
        content = [[path, hashlib.sha256(data).hexdigest()] for path, data in sorted(self.revisions[revision].items())]
        return hashlib.sha1(json.dumps(content).encode()).hexdigest()

    def push(self, changed: dict[str, bytes | None]) -> None:
        """Commit files by path to the main branch; None takes one away. Old commits stay."""
        before = self.revisions["main"]
        self.revisions[f"before {len(self.revisions)}"] = before
        self.revisions["main"] = {path: data for path, data in {**before, **changed}.items() if data is not None}

    def at(self, revision: str) -> dict[str, bytes] | None:
        """The files at a branch or commit; None if there is none."""
        return next((files for name, files in self.revisions.items() if revision in (name, self.commit(name))), None)


def folder_files(folder: Path, prefix: str = "") -> dict[str, bytes]:
    """The files of a folder as those of a repository."""
    return {
        prefix + path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class HubServer(ThreadingHTTPServer):
    """The server; a test fills `repositories` and sets what fails.

    Attributes:
        repositories: datasets by name.
        requests: how often each path was asked for, without what follows a `?`.
        sent: bytes of files that were sent.
        page_length: files in a page of a list.
        faulty: share of requests that fail.
        faults: the ways in which they do, out of FAULTS.
        always: a fault that happens to every request for a file.
        silence: seconds before anything is answered.
        lost: a file that is listed and cannot be had.
        failed: how often each fault happened.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.requests: Counter[str] = Counter()
        self.sent = 0
        self.page_length = 1000
        self.faulty = 0.0
        self.faults: Sequence[str] = FAULTS
        self.always: str | None = None
        self.silence = 0.0
        self.lost = ""
        self.failed: Counter[str] = Counter()
        self.random = random.Random(0)
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        """The address of the Hub."""
        return f"http://127.0.0.1:{self.server_port}"

    def add(self, dataset: str, files: dict[str, bytes]) -> Repository:
        """Put a dataset on the Hub."""
        self.repositories[dataset] = Repository({"main": files})
        return self.repositories[dataset]

    def client(self, token: str | bool = False, timeout: float = 5.0, retries: Retries = QUICK) -> HubClient:
        """A client of this server, whatever the user's settings are."""
        return HubClient(self.url, token, retries, timeout)

    def asked(self, part: str) -> int:
        """How many requests had a path with this part."""
        return sum(count for path, count in self.requests.items() if part in path)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is no error here."""


class _Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path)
        with self.server.lock:
            self.server.requests[path] += 1
            fault = self._fault(path)
        if self.server.silence:
            sleep(self.server.silence)
        if fault == "drop":
            self._drop()
        elif fault == "429":
            self._send(429, b"{}", {"Retry-After": "0"})
        elif fault == "500":
            self._send(500, b"{}")
        else:
            self._route(path, parse_qs(url.query), fault)

    def _fault(self, path: str) -> str | None:
        chosen = self.server.always if path.startswith("/storage/") else None
        if chosen is None and self.server.random.random() < self.server.faulty:
            chosen = self.server.random.choice(self.server.faults)
        # What is garbled is only noticed where there is a checksum: in a whole file of the storage.
        if chosen == "flip" and ("Range" in self.headers or not path.startswith("/storage/")):
            chosen = "500"
        if chosen:
            self.server.failed[chosen] += 1
        return chosen

    def _route(self, path: str, query: dict[str, list[str]], fault: str | None) -> None:
        if match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self._commit(match[1], match[2] or "main", fault)
        elif match := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)/tree/(.+)", path):
            self._tree(match[1], match[2], int(query.get("cursor", ["0"])[0]), fault)
        elif match := re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(match[1], match[2], match[3], fault)
        elif match := re.fullmatch(r"/storage/([^/]+/[^/]+)/([^/]+)/(.+)", path):
            self._file(self.server.repositories[match[1]].at(match[2])[match[3]], {}, fault)  # type: ignore[index]
        else:
            self._send(404, b"{}")

    def _files(self, dataset: str, revision: str) -> dict[str, bytes] | None:
        repository = self.server.repositories.get(dataset)
        if repository is None:
            # What the Hub says of a dataset that does not exist, and of a private one.
            self._refuse(401, "RepoNotFound", "Invalid username or password.")
            return None
        given = self.headers.get("Authorization")
        if given and given != "Bearer hf_good":
            self._refuse(401, "", "Invalid credentials in Authorization header")
            return None
        if repository.gated and given is None:
            self._refuse(401, "GatedRepo", f"Access to dataset {dataset} is restricted.")
            return None
        files = repository.at(revision)
        if files is None:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return files

    def _commit(self, dataset: str, revision: str, fault: str | None) -> None:
        if self._files(dataset, revision) is not None:
            repository = self.server.repositories[dataset]
            branch = next(name for name in repository.revisions if revision in (name, repository.commit(name)))
            self._json({"id": dataset, "sha": repository.commit(branch)}, {}, fault)

    def _tree(self, dataset: str, revision: str, cursor: int, fault: str | None) -> None:
        files = self._files(dataset, revision)
        if files is None:
            return
        repository = self.server.repositories[dataset]
        folders = sorted({parent.as_posix() for path in files for parent in Path(path).parents} - {"."})
        items: list[dict[str, object]] = [{"type": "directory", "path": path, "oid": "0" * 40} for path in folders]
        for path, data in files.items():
            content = _pointer(data) if _in_lfs(repository, path) else data
            item: dict[str, object] = {"type": "file", "path": path, "size": len(data), "oid": _blob_id(content)}
            if _in_lfs(repository, path):
                sha256 = hashlib.sha256(data).hexdigest()
                item["lfs"] = {"oid": sha256, "size": len(data), "pointerSize": len(content)}
            items.append(item)
        stop = cursor + self.server.page_length
        following = f"{self.server.url}/api/datasets/{dataset}/tree/{revision}?recursive=true&cursor={stop}"
        headers = {"Link": f'<{following}>; rel="next"'} if stop < len(items) else {}
        self._json(items[cursor:stop], headers, fault)

    def _resolve(self, dataset: str, revision: str, path: str, fault: str | None) -> None:
        files = self._files(dataset, revision)
        if files is None:
            return
        if path not in files or path == self.server.lost:
            self._refuse(404, "EntryNotFound", "Entry not found")
            return
        headers = {"X-Repo-Commit": revision}
        if not _in_lfs(self.server.repositories[dataset], path):
            self._file(files[path], {**headers, "ETag": f'"{_blob_id(files[path])}"'}, fault)
            return
        linked = {
            "Location": f"{self.server.url}/storage/{dataset}/{revision}/{path}?signature=secret",
            "X-Linked-ETag": f'"{hashlib.sha256(files[path]).hexdigest()}"',
            "X-Linked-Size": str(len(files[path])),
        }
        self._send(302, b"", {**headers, **linked})

    def _file(self, data: bytes, headers: dict[str, str], fault: str | None) -> None:
        status, part = 200, data
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            start, stop = int(match[1]), min(int(match[2] or len(data) - 1) + 1, len(data))
            status, part = 206, data[start:stop]
            headers = {**headers, "Content-Range": f"bytes {start}-{stop - 1}/{len(data)}"}
        if fault == "flip":
            middle = len(part) // 2
            part = part[:middle] + bytes([part[middle] ^ 1]) + part[middle + 1 :]
        with self.server.lock:
            self.server.sent += len(part) // 2 if fault == "short" else len(part)
        self._send(status, part, {**headers, "Accept-Ranges": "bytes"}, cut=fault == "short")

    def _json(self, value: object, headers: dict[str, str], fault: str | None) -> None:
        self._send(200, json.dumps(value).encode(), headers, cut=fault == "short")

    def _refuse(self, status: int, code: str, message: str) -> None:
        headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
        self._send(status, json.dumps({"error": message}).encode(), headers)

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None, *, cut: bool = False) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.wfile.flush()
            self.close_connection = True

    def _drop(self) -> None:
        # Closing with a linger time of zero sends a reset, as a network that breaks does.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that http.server gives
        pass


@contextmanager
def serving() -> Iterator[HubServer]:
    """A Hub without datasets, for as long as the block lasts."""
    with HubServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def _in_lfs(repository: Repository, path: str) -> bool:
    return path.endswith(".parquet") and path not in repository.not_in_lfs


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


def _pointer(data: bytes) -> bytes:
    sha256 = hashlib.sha256(data).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {len(data)}\n".encode()
