"""Words of messages and pages that depend on a number."""


def several(how_many: int, thing: str, things: str = "") -> str:
    """Return a count with its noun: "1 subset", "2 subsets", "1,200 entries".

    Args:
        how_many: the count.
        thing: the noun in the singular.
        things: its plural; empty if it only has an s more.
    """
    return f"{how_many:,} {thing if how_many == 1 else things or thing + 's'}"
