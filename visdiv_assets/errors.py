"""The one exception that users are meant to read.

Raise it for whatever a user can mend: a missing folder, a file of the wrong kind, an impossible setting. Its message is
one line that names the thing and says what to do. Defects of the program itself stay ordinary exceptions.
"""


class VisdivError(Exception):
    """Something that the user can mend; the message is one line that names the thing and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
