"""Windows of applications, chats, slides and chess boards, drawn with Pillow."""

from __future__ import annotations

from random import Random

from PIL import Image

from visdiv_assets_tests.testing.corpora.shared import (
    INK,
    MONTHS,
    NAMES,
    STRONG_COLORS,
    WHITE,
    WORDS,
    Color,
    Content,
    font,
    number,
    other_of,
    other_words,
    page,
    soft,
    words,
)

_TINTS = STRONG_COLORS[:3] + STRONG_COLORS[8:11]


def file_window(template: Random, content: Content) -> Image.Image:
    """A window with a menu, a side bar and a list of files."""
    width, row_height = template.randint(860, 1100), template.randint(36, 42)
    rows, tint, dark = template.randint(9, 13), template.choice(_TINTS), template.random() < 0.35
    ground, ink = ((36, 38, 44), (225, 225, 225)) if dark else (WHITE, INK)
    bar: Color = (58, 60, 68) if dark else (232, 234, 238)
    image, draw = page(width, 120 + rows * row_height + 40, ground)
    draw.rectangle((0, 0, width, 36), fill=tint)
    draw.text((14, 18), words(template, 2), WHITE, font(18, "bold"), anchor="lm")
    for i in range(3):
        draw.ellipse((width - 30 - 28 * i, 11, width - 16 - 28 * i, 25), outline=WHITE, width=2)
    draw.rectangle((0, 36, width, 80), fill=bar)
    for i, entry in enumerate(("File", "Edit", "View", "Tools", "Window", "Help")):
        draw.text((20 + 90 * i, 58), entry, ink, font(18), anchor="lm")
    side = 190
    draw.rectangle((0, 80, side, image.height), fill=bar)
    for i in range(template.randint(5, 8)):
        draw.rectangle((18, 104 + i * 40, 36, 122 + i * 40), fill=template.choice(STRONG_COLORS))
        draw.text((48, 113 + i * 40), template.choice(WORDS).capitalize(), ink, font(18), anchor="lm")
    endings = ("pdf", "png", "csv", "txt", "doc")
    files = [
        (
            f"{content.random.choice(WORDS)}_{content.random.choice(WORDS)}.{content.random.choice(endings)}",
            f"{content.random.randint(1, 28)} {content.random.choice(MONTHS)[:3]}",
            f"{number(content.random, 3)} KB",
        )
        for _ in range(rows)
    ]
    content.alter(
        files, lambda file, random: (other_words(file[0][:-4].replace("_", " "), random) + file[0][-4:], *file[1:])
    )
    for x, head in ((side + 56, "Name"), (width - 300, "Changed"), (width - 130, "Size")):
        draw.text((x, 100), head, ink, font(17, "bold"), anchor="lm")
    for row, (name, when, size) in enumerate(files):
        y = 120 + (row + 0.5) * row_height
        if row % 2 and not dark:
            draw.rectangle((side, y - row_height / 2, width, y + row_height / 2), fill=soft(tint, 0.08))
        draw.rectangle((side + 22, y - 11, side + 40, y + 11), fill=tint)
        draw.text((side + 56, y), name, ink, font(18), anchor="lm")
        draw.text((width - 300, y), when, ink, font(17), anchor="lm")
        draw.text((width - 130, y), size, ink, font(17), anchor="lm")
    draw.rectangle((0, image.height - 30, width, image.height), fill=bar)
    draw.text((14, image.height - 15), f"{rows} items", ink, font(15), anchor="lm")
    return image


def chat_screen(template: Random, content: Content) -> Image.Image:
    """Messages in bubbles, as on a telephone; who writes is the template's, what is the content's."""
    width, height = template.randint(560, 640), template.randint(880, 1000)
    tint = template.choice(_TINTS)
    image, draw = page(width, height, template.choice(((236, 229, 221), WHITE, (240, 242, 245))))
    draw.rectangle((0, 0, width, 90), fill=tint)
    draw.ellipse((20, 20, 70, 70), fill=soft(tint, 0.4))
    draw.text((90, 45), template.choice(NAMES), WHITE, font(26, "bold"), anchor="lm")
    rows = (height - 190) // 92
    messages = [words(content.random, content.random.choice((3, 3, 4))) for _ in range(rows)]
    content.alter(messages, other_words)
    for row, message in enumerate(messages):
        y, mine, length = 110 + row * 92, template.random() < 0.5, width * 0.74
        left = width - 20 - length if mine else 20
        draw.rounded_rectangle((left, y, left + length, y + 74), 16, fill=soft(tint, 0.3) if mine else (250, 250, 250))
        draw.text((left + 18, y + 28), message, INK, font(20), anchor="lm")
        time = f"{template.randint(0, 23):02d}:{template.randint(0, 59):02d}"
        draw.text((left + length - 14, y + 58), time, (120, 120, 120), font(14), anchor="rm")
    draw.rounded_rectangle((20, height - 66, width - 90, height - 16), 24, fill=WHITE, outline=(200, 200, 200))
    draw.text((44, height - 41), "Message", (150, 150, 150), font(20), anchor="lm")
    draw.ellipse((width - 74, height - 68, width - 20, height - 14), fill=tint)
    return image


def slide(template: Random, content: Content) -> Image.Image:
    """A title, points, an image that is the template's, and a footer."""
    width = template.randint(900, 1100)
    height = round(width * template.choice((0.5625, 0.75)))
    tint, side = template.choice(_TINTS), template.random() < 0.5
    image, draw = page(width, height, template.choice((WHITE, soft(tint, 0.06))))
    draw.rectangle((0, 0, width * 0.04, height) if side else (0, 0, width, height * 0.17), fill=tint)
    points = template.randint(4, 5)
    lines = [words(content.random, 3)] + [words(content.random, template.randint(3, 4)) for _ in range(points)]
    content.alter(lines, other_words)
    draw.text((width * 0.07, height * 0.09), lines[0], tint if side else WHITE, font(width // 26, "bold"), anchor="lm")
    for i, line in enumerate(lines[1:]):
        y = height * (0.27 + 0.6 * i / points)
        draw.ellipse((width * 0.07, y - 7, width * 0.07 + 14, y + 7), fill=tint)
        draw.text((width * 0.1, y), line, INK, font(width // 42), anchor="lm")
    box = (width * 0.66, height * 0.28, width * 0.95, height * 0.75)
    draw.rectangle(box, fill=soft(tint, 0.3), outline=tint, width=3)
    for _ in range(template.randint(3, 6)):
        x, y, r = template.uniform(box[0], box[2] - 60), template.uniform(box[1], box[3] - 60), template.uniform(25, 55)
        draw.ellipse((x, y, x + r, y + r), fill=template.choice(STRONG_COLORS))
    draw.line((width * 0.07, height * 0.92, width * 0.95, height * 0.92), fill=tint, width=2)
    draw.text(
        (width * 0.07, height * 0.96), f"{words(template, 2)} 20{template.randint(10, 26)}", INK, font(17), anchor="lm"
    )
    draw.text((width * 0.95, height * 0.96), str(template.randint(2, 40)), INK, font(17), anchor="rm")
    return image


_BOARDS = (
    ((240, 217, 181), (181, 136, 99)),
    ((238, 238, 210), (118, 150, 86)),
    ((222, 227, 230), (140, 162, 173)),
    ((255, 206, 158), (209, 139, 71)),
)
_MEN = "\u265a\u265b\u265c\u265d\u265e\u265f"


def chess_board(template: Random, content: Content) -> Image.Image:
    """A position with coordinates: white men are outlined, black men filled."""
    square, (light, dark) = template.randint(80, 104), template.choice(_BOARDS)
    edge = 40 if template.random() < 0.6 else 12
    image, draw = page(8 * square + 2 * edge, 8 * square + 2 * edge, template.choice((WHITE, (60, 45, 35))))
    squares = content.random.sample(range(64), content.random.randint(14, 22))
    men = [(place, *man) for place, man in zip(squares, _army(content.random), strict=False)]
    free = tuple(place for place in range(64) if place not in squares)
    content.alter(men, lambda man, random: (other_of(free)(man[0], random), *man[1:]))
    for place in range(64):
        x, y = edge + place % 8 * square, edge + place // 8 * square
        draw.rectangle((x, y, x + square - 1, y + square - 1), fill=dark if (place + place // 8) % 2 else light)
    for place, man, white in men:
        middle = (edge + (place % 8 + 0.5) * square, edge + (place // 8 + 0.5) * square)
        draw.text(
            middle,
            man,
            WHITE if white else (15, 15, 15),
            font(round(square * 0.8)),
            anchor="mm",
            stroke_width=2,
            stroke_fill=(15, 15, 15) if white else (60, 60, 60),
        )
    if edge > 30:
        for i in range(8):
            along = edge + (i + 0.5) * square
            draw.text((along, image.height - edge / 2), "abcdefgh"[i], (128, 120, 110), font(22), anchor="mm")
            draw.text((edge / 2, along), str(8 - i), (128, 120, 110), font(22), anchor="mm")
    return image


def _army(random: Random) -> list[tuple[str, bool]]:
    """Both kings, then what is left in an ending or a middle game."""
    rest = [(man, white) for man in _MEN[1] + _MEN[2:5] * 2 + _MEN[5] * 6 for white in (True, False)]
    random.shuffle(rest)
    return [(_MEN[0], True), (_MEN[0], False), *rest]
