"""What the Hub's refusals mean: those that may pass, and those that the user has to mend."""

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
    """The Hub has no dataset of that name, or does not show it to this user."""


class MissingRevisionError(SourceError):
    """The dataset has no such branch, tag or commit."""


@contextmanager
def hub_errors(dataset: str, endpoint: str, *, reached: bool) -> Iterator[None]:
    """Turn what a request raises into Fault, if another attempt may succeed, or into the one line for the user.

    Args:
        dataset: name of the dataset that is asked for.
        endpoint: the Hub's address.
        reached: whether the Hub was ever reached.
    """
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    try:
        yield
    except HfHubHTTPError as error:
        raise _meaning(error, dataset, endpoint) from None
    except OfflineModeIsEnabled:
        raise SourceError(
            f"hf://datasets/{dataset} cannot be read while HF_HUB_OFFLINE is set: unset it, or give a folder in "
            f"VISDIV_SOURCE"
        ) from None
    except (httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
        raise SourceError(f"{endpoint} is no address of a Hub ({error}): correct or unset HF_ENDPOINT") from None
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise Fault(f"no connection: {error or 'timed out'}", unreached=not reached) from None
    except httpx2.TimeoutException as error:
        raise Fault(f"timed out {error}".strip()) from None
    except (httpx2.TransportError, httpx2.DecodingError, httpx2.TooManyRedirects) as error:
        raise Fault(f"the connection broke: {error}") from None


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks to wait: its Retry-After, as seconds or as a date, or the Hub's rate limit."""
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


def _meaning(error: HfHubHTTPError, dataset: str, endpoint: str) -> Exception:
    response = error.response
    status, code = response.status_code, response.headers.get("X-Error-Code", "")
    uri = f"hf://datasets/{dataset}"
    said = " ".join((error.server_message or "").split())[:_REASON_LENGTH]
    if status in (408, 429) or status >= 500:
        return Fault(f"HTTP {status} {response.reason_phrase}", asked=asked_wait(response.headers))
    if response.history and status in (401, 403):
        # Not the Hub but the storage that it sent us to, whose signed addresses expire: the Hub gives a new one.
        return Fault(f"HTTP {status} of the storage")
    if code == "GatedRepo":
        return SourceError(
            f"{uri} is gated: accept its terms at {endpoint}/datasets/{dataset}, and set HF_TOKEN to a token of the "
            f"account that did"
        )
    if code == "RevisionNotFound":
        return MissingRevisionError(f"{uri} has no such revision: check what follows the @ ({said or 'HTTP 404'})")
    if code == "EntryNotFound":
        return SourceError(f"{uri}: {response.url.path} is not there any more: run again")
    if status == 401 and "invalid credentials" in said.lower():
        return SourceError(f"{uri}: the Hub does not accept your token ({said}): correct or unset HF_TOKEN")
    if status in (401, 404):
        return MissingDatasetError(
            f"{uri} is not on the Hub, or is private (HTTP {status}): check the name; to read a private dataset set "
            f"HF_TOKEN"
        )
    if status == 403:
        return SourceError(
            f"{uri} may not be read with your token (HTTP 403 {said}): set HF_TOKEN to a token that may read it"
        )
    if status == 416:
        return Fault("HTTP 416: the file is shorter than it should be")
    return SourceError(f"{uri}: the Hub refuses the request (HTTP {status} {said}): check the name and the revision")
