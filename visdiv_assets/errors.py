"""Define the errors that users can fix.

    VisdivError
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


class VisdivError(Exception):
    """Base of all errors that a user can fix; the message is one line that names the thing and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


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
