"""What the families of drawings share: numbered contents, fonts, words and colors."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from typing import TypeVar

from PIL import Image, ImageDraw, ImageFont

T = TypeVar("T")
Color = tuple[int, int, int]

#: Contents come in groups: the first of a group is new throughout, the others differ from it in one thing each.
GROUP = 4

INK: Color = (30, 30, 30)
WHITE: Color = (255, 255, 255)

#: Any two differ by more than 40 levels in some channel.
STRONG_COLORS: tuple[Color, ...] = (
    (200, 16, 46),
    (0, 56, 168),
    (0, 122, 61),
    (252, 209, 22),
    (255, 255, 255),
    (20, 20, 20),
    (255, 130, 0),
    (110, 180, 230),
    (128, 0, 128),
    (120, 70, 20),
    (0, 160, 160),
    (240, 130, 180),
    (140, 200, 60),
    (90, 100, 110),
)

_TEXT = (
    "station harbour window garden meadow bridge winter summer candle letter market orange purple silver "
    "animal forest island kitchen ladder mirror needle office pencil quarter river shadow tunnel umbrella valley "
    "weather yellow bottle carpet dinner engine feather glacier hammer insect jacket kettle lantern monkey number "
    "oyster image quality rabbit saddle temple uniform village walnut zebra anchor basket castle desert effort "
    "figure gravel height income jungle kernel linen marble nation object palace quartz record school timber urban "
    "velvet wisdom yearly zenith amount belief copper degree energy family growth health impact justice knight "
    "mountain hospital"
)
WORDS: tuple[str, ...] = tuple(_TEXT.split())
SHORT_WORDS = ("the", "of", "and", "a", "in", "to", "is", "on", "by", "with", "for", "as", "at", "was", "from")
NAMES: tuple[str, ...] = (
    "Ada Moreau",
    "Jon Petersen",
    "Mei Tanaka",
    "Omar Haddad",
    "Lucia Romano",
    "Kofi Mensah",
    "Ines Duarte",
    "Piotr Nowak",
    "Sofia Lindgren",
    "Ravi Kulkarni",
    "Hana Novakova",
    "Diego Alvarez",
    "Zoe Papadaki",
)
MONTHS: tuple[str, ...] = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


class Content:
    """What varies within a template.

    `random` is the same throughout a group of contents; `alter` changes one thing in all but the first of a group.
    """

    def __init__(self, kind: str, template: int, number: int) -> None:
        self.group, self.change = divmod(number, GROUP)
        self.random = Random(f"content/{kind}/{template}/{self.group}")
        self.offset = Random(f"offset/{kind}/{template}").randrange(10_000)
        self._order = Random(f"order/{kind}/{template}/{self.group}")
        self._other = Random(f"change/{kind}/{template}/{number}")

    def alter(self, values: list[T], other: Callable[[T, Random], T]) -> None:
        """Replace one value, a different one in each content of a group."""
        if self.change:
            order = list(range(len(values)))
            self._order.shuffle(order)
            place = order[(self.change - 1) % len(values)]
            values[place] = other(values[place], self._other)

    def triple(self, many: int, others: int) -> tuple[int, int, int]:
        """Two different numbers below `many` with one below `others` between them: another triple for every group.

        After `many * (many - 1) * others` groups they begin again.
        """
        total = many * (many - 1) * others
        # 7919 is a prime, so its multiples meet every triple before they meet one again.
        index = (self.offset + self.group * 7919) % total
        index, first = divmod(index, many)
        index, step = divmod(index, many - 1)
        return first, index, (first + 1 + step) % many


def other_of(values: tuple[T, ...]) -> Callable[[T, Random], T]:
    """For `Content.alter`: any other of some values."""

    def other(value: T, random: Random) -> T:
        return random.choice([candidate for candidate in values if candidate != value])

    return other


def other_number(text: str, random: Random) -> str:
    """A number of the same form with other digits in every place."""
    return "".join(random.choice([d for d in "123456789" if d != c]) if c.isdigit() else c for c in text)


def number(random: Random, digits: int = 4, decimals: int = 1) -> str:
    """A number of so many digits without leading zero."""
    whole = str(random.randint(1, 9)) + "".join(str(random.randint(0, 9)) for _ in range(digits - 1))
    return whole + (f".{random.randrange(10**decimals):0{decimals}d}" if decimals else "")


def words(random: Random, count: int) -> str:
    """Some words, the first with a capital."""
    return " ".join(random.sample(WORDS, count)).capitalize()


def other_words(text: str, random: Random) -> str:
    """As many words, all of them others."""
    taken = text.lower().split()
    return " ".join(random.sample([word for word in WORDS if word not in taken], len(taken))).capitalize()


@cache
def font(size: int, face: str = "sans") -> ImageFont.FreeTypeFont:
    """One of the faces that come with matplotlib: sans, bold, serif, mono, times."""
    import matplotlib

    name = {"sans": "DejaVuSans", "bold": "DejaVuSans-Bold", "serif": "DejaVuSerif", "mono": "DejaVuSansMono"}
    path = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{name.get(face, 'STIXGeneral')}.ttf")
    return ImageFont.truetype(path, size)


def page(width: int, height: int, color: Color = WHITE) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty image and what draws on it."""
    image = Image.new("RGB", (width, height), color)
    return image, ImageDraw.Draw(image)


def soft(color: Color, share: float) -> Color:
    """A color mixed with white: `share` of it is left."""
    red, green, blue = (round(255 - (255 - level) * share) for level in color)
    return red, green, blue
