"""The requests to the Hub: the commit of a revision, its files, and bytes of a file.

`huggingface_hub` makes the requests: it knows the address (HF_ENDPOINT), the token (HF_TOKEN) and the proxy. Retries
are made here, in one way for all requests: its `dataset_info` is not retried, its `list_repo_tree` has no time-out, and
its downloads go to a cache of its own without a size limit.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from visdiv_assets.errors import SourceError
from visdiv_assets.sources.hub.errors import hub_errors
from visdiv_assets.sources.hub.retries import Fault, Retries, retry

if TYPE_CHECKING:
    from httpx2 import Response

logger = logging.getLogger(__name__)

BLOCK_BYTES = 1 << 20

Result = TypeVar("Result")


@dataclass(frozen=True)
class HubFile:
    """A file of a dataset at a commit.

    Attributes:
        dataset: the dataset's name, "owner/name".
        commit: the commit, 40 hex characters.
        path: posix path in the repository.
        size_bytes: its size.
        blob_id: git's id of the blob in the repository: the file, or the pointer to it if it is in LFS.
        sha256: SHA-256 of its content if it is in LFS, as large files are; else None.
    """

    dataset: str
    commit: str
    path: str
    size_bytes: int
    blob_id: str
    sha256: str | None

    def __str__(self) -> str:
        return f"hf://datasets/{self.dataset}/{self.path}"

    @property
    def oid(self) -> str:
        """The identifier of its content: the SHA-256 if it is in LFS, else git's blob id."""
        return self.sha256 or self.blob_id

    @property
    def key(self) -> str:
        """A file name that identifies its content."""
        return f"sha256-{self.sha256}" if self.sha256 else f"git-{self.blob_id}"

    def new_digest(self) -> Any:
        """Return a new hash whose hex digest is `oid` after an update with the file's content."""
        if self.sha256:
            return hashlib.sha256()
        return hashlib.sha1(f"blob {self.size_bytes}\0".encode(), usedforsecurity=False)


class HubClient:
    """Makes requests to a Hub, and retries those that fail."""

    def __init__(
        self,
        endpoint: str | None = None,
        token: str | bool | None = None,
        retries: Retries | None = None,
        timeout: float | None = None,
    ) -> None:
        """Create a client; nothing is requested.

        Args:
            endpoint: the Hub's address; None: HF_ENDPOINT, or huggingface.co.
            token: as for huggingface_hub; None: HF_TOKEN, or the token that `hf auth login` has stored.
            retries: how often and how fast requests are retried.
            timeout: maximum seconds without an answer; None: HF_HUB_DOWNLOAD_TIMEOUT, or 10.
        """
        from huggingface_hub import constants

        self.endpoint = endpoint or constants.ENDPOINT
        self._token = token
        self._retries = retries or Retries()
        self._timeout = timeout or constants.HF_HUB_DOWNLOAD_TIMEOUT
        self._reached = False

    def commit(self, dataset: str, revision: str | None) -> str:
        """Return the present commit of a branch or tag (None: the main branch).

        Raises:
            MissingDatasetError: the Hub has no such dataset.
            MissingRevisionError: the dataset has no such revision.
            SourceError: access is denied, or the Hub does not answer.
        """
        from huggingface_hub import HfApi

        def ask() -> str:
            api = HfApi(endpoint=self.endpoint, token=self._token)
            found = api.dataset_info(dataset, revision=revision, timeout=self._timeout, expand=["sha"])
            if not found.sha:
                raise Fault("the answer has no commit")
            return found.sha

        return self._retry(ask, dataset, f"hf://datasets/{dataset}")

    def files(self, dataset: str, commit: str) -> list[HubFile]:
        """Return all files of a dataset at a commit. Raises as `commit` does."""
        url: str | None = f"{self.endpoint}/api/datasets/{dataset}/tree/{commit}"
        parameters: dict[str, Any] | None = {"recursive": True}
        found = []
        while url:
            ask = partial(self._page, url, parameters)
            page, url = self._retry(ask, dataset, f"the list of files of hf://datasets/{dataset}")
            parameters = None  # The address of the next page contains them.
            for item in page:
                if item["type"] == "file":
                    sha256 = item["lfs"]["oid"] if item.get("lfs") else None
                    found.append(HubFile(dataset, commit, item["path"], item["size"], item["oid"], sha256))
        return found

    def read(self, file: HubFile, start: int, length: int) -> bytes:
        """Return some bytes of a file. Raises as `commit` does."""
        if length <= 0:
            return b""

        def ask() -> bytes:
            with self._answer(file, start, start + length) as answer:
                if answer.status_code != 206:
                    raise Fault(f"HTTP {answer.status_code} to a request for a part of the file")
                content = b"".join(answer.iter_bytes())
            if len(content) != length:
                raise Fault(f"received {len(content)} of {length} requested bytes")
            return content

        return self._retry(ask, file.dataset, str(file))

    def download(self, file: HubFile, stream: BinaryIO) -> None:
        """Download a whole file to a stream, and check its digest.

        Args:
            file: the file.
            stream: open for reading and writing; it may hold the first bytes from an earlier attempt; it is not closed.

        Raises:
            SourceError: see `commit`; also if the content is wrong at every attempt.
            OSError: the stream cannot be written to.
        """
        digest = file.new_digest()
        stream.seek(0)
        held = 0
        while block := stream.read(BLOCK_BYTES):
            digest.update(block)
            held += len(block)

        def ask() -> None:
            nonlocal digest, held
            if held > file.size_bytes:
                digest, held = _start_again(file, stream)
            if held < file.size_bytes:
                with self._answer(file, held, None) as answer:
                    if held and not _continues_at(answer, held):
                        digest, held = _start_again(file, stream)
                    if answer.status_code == 206 and not held:
                        raise Fault("received a part of the file instead of all of it")
                    # In blocks as they arrive: a partly filled larger block would be lost if the connection breaks.
                    for block in answer.iter_bytes():
                        stream.write(block)
                        digest.update(block)
                        held += len(block)
            if held < file.size_bytes:
                raise Fault(f"the connection broke after {held} of {file.size_bytes} bytes")
            if digest.hexdigest() != file.oid:
                digest, held = _start_again(file, stream)
                raise Fault("the checksum of the content is wrong")

        logger.info("fetching %s, %.1f MB", file, file.size_bytes / 1e6)
        self._retry(ask, file.dataset, str(file))

    def _retry(self, ask: Callable[[], Result], dataset: str, what: str) -> Result:
        def attempt() -> Result:
            with hub_errors(dataset, self.endpoint, reached=self._reached):
                result = ask()
            self._reached = True
            return result

        return retry(attempt, what, self._retries)

    def _page(self, url: str, parameters: dict[str, Any] | None) -> tuple[list[dict[str, Any]], str | None]:
        """Return a page of a list of files, and the address of the next page."""
        from huggingface_hub.utils import get_session, hf_raise_for_status

        answer = get_session().get(url, params=parameters, headers=self._headers(), timeout=self._timeout)
        hf_raise_for_status(answer)
        try:
            page = answer.json()
        except ValueError:
            page = None
        if not isinstance(page, list):
            raise Fault("the answer is not a list of files")
        return page, answer.links.get("next", {}).get("url")

    @contextmanager
    def _answer(self, file: HubFile, start: int, end: int | None) -> Iterator[Response]:
        """Request the bytes of a file from `start` to `end` (None: to its end), and yield the unread answer."""
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import get_session, hf_raise_for_status

        url = hf_hub_url(file.dataset, file.path, repo_type="dataset", revision=file.commit, endpoint=self.endpoint)
        # Compressed answers have no ranges, and compression does not make images smaller.
        headers = {**self._headers(), "Accept-Encoding": "identity"}
        if start or end is not None:
            headers["Range"] = f"bytes={start}-{'' if end is None else end - 1}"
        with get_session().stream("GET", url, headers=headers, timeout=self._timeout) as answer:
            hf_raise_for_status(answer)
            yield answer

    def _headers(self) -> dict[str, str]:
        from huggingface_hub.utils import build_hf_headers

        return build_hf_headers(token=self._token, library_name="visdiv_assets")


def parse_uri(uri: str) -> tuple[str, str | None]:
    """Return the dataset and the revision (None: the main branch) of `hf://datasets/owner/name[@revision]`.

    Raises:
        SourceError: the URI has another form.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    dataset, _, revision = uri.removeprefix("hf://datasets/").partition("@")
    try:
        if not uri.startswith("hf://datasets/") or uri.endswith("@"):
            raise HFValidationError
        validate_repo_id(dataset)
    except HFValidationError:
        raise SourceError(
            f"{uri} names no dataset: write hf://datasets/<owner>/<name>, or with a branch, tag or commit "
            f"hf://datasets/<owner>/<name>@<revision>"
        ) from None
    return dataset, revision or None


def _continues_at(answer: Response, start: int) -> bool:
    return answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _start_again(file: HubFile, stream: BinaryIO) -> tuple[Any, int]:
    """Empty the stream; return a new digest, and zero as the number of bytes held."""
    stream.seek(0)
    stream.truncate()
    return file.new_digest(), 0
