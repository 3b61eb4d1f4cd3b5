"""Errors of disks and object storage as one line that says what to do; the AWS client's own messages are long."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from visdiv_assets.errors import StorageError

_FIX_DISK = "free some space or fix the permissions"

_AWS = re.compile(r"AWS Error (\w+)(?: \(HTTP status (\d+)\))? during (\w+) operation: ?(.*)", re.DOTALL)
_EXCEPTION = re.compile(r"ExceptionName: (\w+)")
#: Ends of the client's messages that carry no useful information.
_NOISE = re.compile(r"\s*(\(Request ID:|No response body|; Details:).*", re.DOTALL)

_DENIED_CODES = (
    "ACCESS_DENIED",
    "INVALID_ACCESS_KEY_ID",
    "INVALID_CLIENT_TOKEN_ID",
    "SIGNATURE_DOES_NOT_MATCH",
    "MISSING_AUTHENTICATION_TOKEN",
    "EXPIREDTOKEN",
    "INVALIDTOKEN",
)
_REGION_CODES = ("PERMANENTREDIRECT", "AUTHORIZATIONHEADERMALFORMED", "ILLEGALLOCATIONCONSTRAINTEXCEPTION")
_BUSY_CODES = ("SLOW_DOWN", "INTERNAL_FAILURE", "SERVICE_UNAVAILABLE", "THROTTLING", "REQUEST_TIMEOUT")


class Reason(NamedTuple):
    """The reason why a request failed, and the advice what to do."""

    text: str
    advice: str


def reason_of(error: OSError) -> Reason:
    """Return why a disk or object storage refused a request, and what to do."""
    if error.errno:
        return Reason(os.strerror(error.errno), _FIX_DISK)
    found = _AWS.search(str(error))
    if found is None:
        return Reason(str(error), _FIX_DISK)
    code, status, operation, message = found.groups()
    if named := _EXCEPTION.search(message):
        code = named[1].upper()
    if code == "NO_SUCH_BUCKET":
        return Reason("there is no such bucket", "create it or correct VISDIV_DATA")
    if code in _DENIED_CODES:
        detail = "" if code == "ACCESS_DENIED" else f" ({code.replace('_', ' ').lower()})"
        return Reason(
            f"access is denied{detail}",
            "set credentials that may list, read, write and delete there (AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE)",
        )
    if code in _REGION_CODES or status == "301":
        return Reason(
            "the bucket is in another region", "add its region, as in VISDIV_DATA=s3://bucket/prefix?region=eu-west-1"
        )
    if code == "NETWORK_CONNECTION":
        silent = "curlCode: 28" in message
        return Reason(
            "the server does not answer" if silent else "the server cannot be reached",
            "check that it runs and that VISDIV_DATA has its address",
        )
    if code in _BUSY_CODES or (status or "").startswith("5"):
        return Reason(f"the server is busy or broken ({status or code.replace('_', ' ').lower()})", "try again later")
    detail = _NOISE.sub("", message).strip() or (f"HTTP status {status}" if status else code)
    return Reason(f"{operation}: {detail}", "check the credentials and the region")


def is_of_object_storage(error: OSError) -> bool:
    """Return whether an error comes from object storage."""
    return error.errno is None and _AWS.search(str(error)) is not None


def is_of_system(error: BaseException) -> bool:
    """Return whether an error comes from a disk or from object storage, rather than from a reader of what they hold."""
    return isinstance(error, OSError) and (error.errno is not None or is_of_object_storage(error))


def read_error(path: str, error: OSError) -> StorageError:
    """Return the error for a path that cannot be listed or read."""
    reason = reason_of(error)
    advice = "" if reason.advice == _FIX_DISK else f": {reason.advice}"
    return StorageError(f"cannot read {path}: {reason.text}{advice}")


def write_error(path: str, error: OSError) -> StorageError:
    """Return the error for a path that cannot be written."""
    reason = reason_of(error)
    return StorageError(
        f"cannot write {path}: {reason.text}; its previous content is intact: {reason.advice}, then start the run again"
    )


def remove_error(path: str, error: OSError) -> StorageError:
    """Return the error for a file that cannot be removed."""
    reason = reason_of(error)
    advice = "fix the permissions" if reason.advice == _FIX_DISK else reason.advice
    return StorageError(f"cannot remove {path}: {reason.text}: {advice}")
