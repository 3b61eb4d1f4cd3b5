"""Turn failures of requests into temporary faults, or into errors that the user must fix."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from visdiv_assets.errors import SourceError
from visdiv_assets.sources.hub.retries import Fault

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

_REASON_LENGTH = 200


class MissingDatasetError(SourceError):
    """The Hub has no dataset of this name, or hides it from this user."""


class MissingRevisionError(SourceError):
    """The dataset has no such branch, tag or commit."""


@contextmanager
def hub_errors(dataset: str, endpoint: str, *, reached: bool) -> Iterator[None]:
    """Raise the error of a request as Fault if a retry may succeed, else as SourceError with one line for the user.

    Args:
        dataset: the name of the requested dataset.
        endpoint: the Hub's address.
        reached: whether an earlier request reached the Hub.
    """
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        yield
    except HfHubHTTPError as error:
        raise _translate(error, dataset, endpoint) from None
    except OfflineModeIsEnabled:
        raise SourceError(
            f"hf://datasets/{dataset} cannot be read while HF_HUB_OFFLINE is set: unset it, or give a folder in "
            f"VISDIV_SOURCE"
        ) from None
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
        raise SourceError(f"{endpoint} is not the address of a Hub ({error}): correct or unset HF_ENDPOINT") from None
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise Fault(f"no connection: {error or 'timed out'}", unreached=not reached) from None
    except httpx2.TimeoutException as error:
        raise Fault(f"timed out {error}".strip()) from None
    except (httpx2.TransportError, httpx2.DecodingError, httpx2.TooManyRedirects) as error:
        raise Fault(f"the connection broke: {error}") from None


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer asks to wait: by Retry-After, as seconds or a date, or by the rate limit."""
    from huggingface_hub.utils import parse_ratelimit_headers

    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        limit = parse_ratelimit_headers(headers)
        return float(limit.reset_in_seconds) if limit and limit.remaining == 0 else None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _translate(error: HfHubHTTPError, dataset: str, endpoint: str) -> Exception:
    response = error.response
    status, code = response.status_code, response.headers.get("X-Error-Code", "")
    uri = f"hf://datasets/{dataset}"
    said = " ".join((error.server_message or "").split())[:_REASON_LENGTH]
    if status in (408, 429) or status >= 500:
        return Fault(f"HTTP {status} {response.reason_phrase}", asked=asked_wait(response.headers))
    if response.history and status in (401, 403):
        # From the storage that the Hub redirects to. Its signed addresses expire; the next request gets a new one.
        return Fault(f"HTTP {status} from the storage")
    if code == "GatedRepo":
        return SourceError(
            f"{uri} is gated: accept its terms at {endpoint}/datasets/{dataset}, and set HF_TOKEN to a token of the "
            f"same account"
        )
    if code == "RevisionNotFound":
        return MissingRevisionError(f"{uri} has no such revision: check the part after the @ ({said or 'HTTP 404'})")
    if code == "EntryNotFound":
        return SourceError(f"{uri}: {response.url.path} no longer exists: run again")
    if status == 401 and "invalid credentials" in said.lower():
        return SourceError(f"{uri}: the Hub does not accept your token ({said}): correct or unset HF_TOKEN")
    if status in (401, 404):
        return MissingDatasetError(
            f"{uri} is not on the Hub, or is private (HTTP {status}): check the name; to read a private dataset set "
            f"HF_TOKEN"
        )
    if status == 403:
        return SourceError(
            f"{uri} cannot be read with your token (HTTP 403 {said}): set HF_TOKEN to a token with read access"
        )
    if status == 416:
        return Fault("HTTP 416: the file is shorter than announced")
    return SourceError(f"{uri}: the Hub refuses the request (HTTP {status} {said}): check the name and the revision")
