"""Define the errors that users can fix, what their messages leave out, and how they name what was probably meant.

    VisdivError
     ├─ IncompleteError       a part of the work failed, and the rest is kept
     ├─ ConfigError           a setting, an option or an argument of a command
     ├─ InputError            an argument of a library function; also a ValueError
     ├─ SourceError           a dataset, a file of it, or the Hub
     ├─ ModelError            weights, a device, or vectors of another model
     └─ StorageError          the lake, the DuckDB file, a disk or an object store
         ├─ NotMaterializedError   a partition of a table that was never materialized
         └─ StaleError             a partition that is older than what it was made from

Raise one for whatever a user can fix. Its message is one line that names the thing and says what to do. Defects of the
program itself stay ordinary exceptions.
"""

import difflib
import re
from collections.abc import Callable, Iterable

#: The user and password of a URI, signatures and credentials among the options of an address, and tokens.
_SECRETS = (
    (re.compile(r"(?<=://)(?:[^\s/@:]*:(?!\d+/)[^\s@?]*|[^\s/@]*)@"), ""),
    (
        re.compile(
            r"(?i)([?&;](?:x-amz-[a-z-]+|x-goog-[a-z-]+|awsaccesskeyid|signature|sig|policy|key-pair-id|access_?key(?:_id)?"
            r"|secret(?:_?access)?_?key|session_?token|access_?token|token|password|api_?key)=)[^\s&;'\"`)]*"
        ),
        r"\1...",
    ),
    (re.compile(r"(?i)(\bauthorization\W{1,4}(?:bearer |basic )?)[\w.~+/=-]{8,}"), r"\1..."),
    (re.compile(r"\bhf_[A-Za-z0-9]{16,}"), "hf_..."),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"), "AKIA..."),
)

#: Control characters and those that change the order of letters, which can change what a terminal shows, and lone
#: surrogates, which cannot be encoded.
_CONTROLS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

#: Fewest letters of a part of a name that stands for the whole.
_MIN_PART = 3


def without_secrets(text: str) -> str:
    """Return a text with credentials and tokens in it left out, such as those of the options of a signed address."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def printable(text: str) -> str:
    """Return a text with U+FFFD for its control characters, except tabs and newlines."""
    return _CONTROLS.sub("\ufffd", text)


def closest_names(name: str, known: Iterable[str], *, count: int = 3) -> list[str]:
    """Return the known names that were probably meant by an unknown one, the most similar first.

    Args:
        name: the unknown name.
        known: the names that there are.
        count: maximum number of names to return.
    """
    originals = {other.lower(): other for other in known}
    lower = name.lower()
    close = difflib.get_close_matches(lower, originals, n=count)
    if not close and len(lower) >= _MIN_PART:
        # The names of subsets are often shortened: "ai2d" for "ai2d_merged".
        close = [other for other in originals if lower in other][:count]
    return [originals[other] for other in close]


def did_you_mean(name: str, known: Iterable[str], *, count: int = 3, show: Callable[[str], str] = repr) -> str:
    """Return the question whether one of the known names was meant; empty if none resembles the unknown one.

    Args:
        name: the unknown name.
        known: the names that there are.
        count: maximum number of names in the question.
        show: writes a name.
    """
    close = list(map(show, closest_names(name, known, count=count)))
    if not close:
        return ""
    return f"did you mean {' or '.join(filter(None, [', '.join(close[:-1]), close[-1]]))}?"


class VisdivError(Exception):
    """Base of all errors that a user can fix; the message is one line that names the thing and what to do.

    Messages quote names and texts of data, and addresses: control characters and credentials are left out.

    Attributes:
        detail: lines to show below the message, such as the place of an error in SQL; empty if there are none.
    """

    def __init__(self, message: str, *, detail: str = "") -> None:
        super().__init__(without_secrets(printable(" ".join(message.split()))))
        self.detail = without_secrets(printable(detail))


class IncompleteError(VisdivError):
    """A part of the work failed; the rest succeeded and is kept."""


class ConfigError(VisdivError):
    """A setting, an option or an argument of a command is unknown, impossible or missing."""


class InputError(VisdivError, ValueError):
    """An argument of a library function cannot be used."""


class SourceError(VisdivError):
    """A dataset, or a file of it, is missing, damaged, or of an unexpected form."""


class ModelError(VisdivError):
    """Weights are missing or damaged, a device cannot be used, or vectors come from another model."""


class StorageError(VisdivError):
    """The lake, the DuckDB file, or another file of the program cannot be read or written."""


class NotMaterializedError(StorageError):
    """A partition of a table was never materialized.

    Attributes:
        table: its name.
        partition: the partition's name.
    """

    def __init__(self, table: str, partition: str) -> None:
        super().__init__(f"{table} of {partition!r} is not materialized")
        self.table = table
        self.partition = partition

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.table, self.partition)


class StaleError(StorageError):
    """A partition is older than what it was made from."""
