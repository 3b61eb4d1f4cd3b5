"""Why a disk or object storage refuses, in one line that says what to do; the AWS client's own texts are long."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from visdiv_assets.errors import StorageError

_OF_DISK = "free some space or mend the permissions"

_AWS = re.compile(r"AWS Error (\w+)(?: \(HTTP status (\d+)\))? during (\w+) operation: ?(.*)", re.DOTALL)
_EXCEPTION = re.compile(r"ExceptionName: (\w+)")
#: Ends of the client's messages that help nobody.
_NOISE = re.compile(r"\s*(\(Request ID:|No response body|; Details:).*", re.DOTALL)

_DENIED = (
    "ACCESS_DENIED",
    "INVALID_ACCESS_KEY_ID",
    "INVALID_CLIENT_TOKEN_ID",
    "SIGNATURE_DOES_NOT_MATCH",
    "MISSING_AUTHENTICATION_TOKEN",
    "EXPIREDTOKEN",
    "INVALIDTOKEN",
)
_ELSEWHERE = ("PERMANENTREDIRECT", "AUTHORIZATIONHEADERMALFORMED", "ILLEGALLOCATIONCONSTRAINTEXCEPTION")
_BUSY = ("SLOW_DOWN", "INTERNAL_FAILURE", "SERVICE_UNAVAILABLE", "THROTTLING", "REQUEST_TIMEOUT")


class Reason(NamedTuple):
    """Why something was refused, and what to do about it."""

    text: str
    advice: str


def reason_of(error: OSError) -> Reason:
    """Why a disk or object storage refused."""
    if error.errno:
        return Reason(os.strerror(error.errno), _OF_DISK)
    found = _AWS.search(str(error))
    if found is None:
        return Reason(str(error), _OF_DISK)
    code, status, operation, message = found.groups()
    if named := _EXCEPTION.search(message):
        code = named[1].upper()
    if code == "NO_SUCH_BUCKET":
        return Reason("there is no such bucket", "make it, or correct VISDIV_DATA")
    if code in _DENIED:
        told = "" if code == "ACCESS_DENIED" else f" ({code.replace('_', ' ').lower()})"
        return Reason(
            f"access is denied{told}",
            "give credentials that may list, read, write and delete there (AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE)",
        )
    if code in _ELSEWHERE or status == "301":
        return Reason("the bucket is in another region", "name it, as VISDIV_DATA=s3://bucket/prefix?region=eu-west-1")
    if code == "NETWORK_CONNECTION":
        silent = "curlCode: 28" in message
        return Reason(
            "the server does not answer" if silent else "the server cannot be reached",
            "see whether it runs and VISDIV_DATA names it",
        )
    if code in _BUSY or (status or "").startswith("5"):
        return Reason(f"the server is busy or broken ({status or code.replace('_', ' ').lower()})", "wait a while")
    told = _NOISE.sub("", message).strip() or (f"HTTP status {status}" if status else code)
    return Reason(f"{operation}: {told}", "see whether the credentials are valid and the region is right")


def is_of_object_storage(error: OSError) -> bool:
    """Whether an error is object storage's, whatever was read or written when it came."""
    return error.errno is None and _AWS.search(str(error)) is not None


def read_error(path: str, error: OSError) -> StorageError:
    """The one line for something that cannot be looked at or read."""
    reason = reason_of(error)
    advice = "" if reason.advice == _OF_DISK else f": {reason.advice}"
    return StorageError(f"cannot read {path}: {reason.text}{advice}")


def write_error(path: str, error: OSError) -> StorageError:
    """The one line for a write that was refused."""
    reason = reason_of(error)
    return StorageError(
        f"cannot write {path}: {reason.text}; what was there before is intact: {reason.advice}, then start the run "
        "again"
    )


def remove_error(path: str, error: OSError) -> StorageError:
    """The one line for a file that cannot be removed."""
    reason = reason_of(error)
    advice = "mend the permissions" if reason.advice == _OF_DISK else reason.advice
    return StorageError(f"cannot remove {path}: {reason.text}: {advice}")
