"""Tables, pages, forms, calendars and digits by hand, drawn with Pillow."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from PIL import Image, ImageFilter, ImageFont

from visdiv_assets_tests.testing.corpora.shared import (
    INK,
    MONTHS,
    NAMES,
    SHORT_WORDS,
    STRONG_COLORS,
    WHITE,
    WORDS,
    Content,
    font,
    number,
    other_number,
    other_of,
    other_words,
    page,
    soft,
    words,
)


def number_table(template: Random, content: Content) -> Image.Image:
    """A heading row, names of rows, and numbers."""
    rows, columns = template.randint(7, 12), template.randint(4, 6)
    width, row_height = template.randint(680, 900), template.randint(36, 44)
    color, ruled, face = (
        template.choice(STRONG_COLORS[:3]),
        template.random() < 0.5,
        template.choice(("sans", "serif")),
    )
    image, draw = page(width, row_height * (rows + 2) + 20)
    draw.text((20, 12), f"Table {template.randint(1, 9)}: {words(template, 3)}", INK, font(20, "bold"))
    first, cell = 160, (width - 180) // columns
    draw.rectangle((10, row_height, width - 10, 2 * row_height), fill=color)
    cells = [number(content.random) for _ in range(rows * columns)]
    content.alter(cells, other_number)
    for column in range(columns):
        head = template.choice(WORDS).capitalize()[:7]
        draw.text((first + (column + 1) * cell - 8, 1.5 * row_height), head, WHITE, font(17, "bold"), anchor="rm")
    for row in range(rows):
        y = (row + 2) * row_height
        if ruled:
            draw.line((10, y + row_height, width - 10, y + row_height), fill=(170, 170, 170))
        elif row % 2:
            draw.rectangle((10, y, width - 10, y + row_height), fill=soft(color, 0.12))
        draw.text((20, y + row_height / 2), template.choice(WORDS).capitalize(), INK, font(18, face), anchor="lm")
        for column in range(columns):
            place = (first + (column + 1) * cell - 8, y + row_height / 2)
            draw.text(place, cells[row * columns + column], INK, font(20, face), anchor="rm")
    return image


def invoice(template: Random, content: Content) -> Image.Image:
    """A letterhead, a buyer, lines with amounts, and a total."""
    width = template.randint(700, 800)
    image, draw = page(width, round(width * 1.3))
    color, rows = template.choice(STRONG_COLORS[:4]), template.randint(6, 9)
    draw.rectangle((0, 0, width, 90), fill=color)
    draw.text((30, 45), f"{words(template, 1)} & Co.", WHITE, font(34, "bold"), anchor="lm")
    draw.text((width - 30, 45), "INVOICE", WHITE, font(30), anchor="rm")
    blocks = [content.random.choice(NAMES), f"No. {number(content.random, 6, 0)}"]
    draw.text((30, 115), "Bill to:", INK, font(18, "bold"))
    draw.text((30, 142), blocks[0], INK, font(20))
    draw.text((30, 170), f"{template.randint(2, 99)} {words(template, 1)} Street", INK, font(18))
    draw.text((width - 30, 142), blocks[1], INK, font(20), anchor="ra")
    lines = [
        (words(content.random, 2), content.random.randint(1, 9), number(content.random, 3, 2)) for _ in range(rows)
    ]
    content.alter(lines, lambda line, random: (other_words(line[0], random), line[1], other_number(line[2], random)))
    top, row_height = 240, template.randint(42, 50)
    draw.rectangle((30, top - 36, width - 30, top), fill=soft(color, 0.25))
    for x, head, anchor in ((40, "Description", "lm"), (width * 0.62, "Qty", "rm"), (width - 40, "Amount", "rm")):
        draw.text((x, top - 18), head, INK, font(18, "bold"), anchor=anchor)
    for row, (what, quantity, amount) in enumerate(lines):
        y = top + row_height * (row + 0.5)
        draw.text((40, y), what, INK, font(20), anchor="lm")
        draw.text((width * 0.62, y), str(quantity), INK, font(20), anchor="rm")
        draw.text((width - 40, y), amount, INK, font(20), anchor="rm")
        draw.line((30, y + row_height / 2, width - 30, y + row_height / 2), fill=(200, 200, 200))
    y = top + row_height * (rows + 0.6)
    total = f"{sum(float(amount) for _, _, amount in lines):.2f}"
    draw.text((width * 0.62, y), "Total", INK, font(24, "bold"), anchor="rm")
    draw.text((width - 40, y), total, INK, font(24, "bold"), anchor="rm")
    draw.text((30, image.height - 60), "Payment within 30 days. Thank you for your business.", INK, font(16))
    return image


def text_page(template: Random, content: Content) -> Image.Image:
    """Paragraphs under a heading, in one column or two."""
    width = template.randint(680, 820)
    image, draw = page(width, round(width * template.choice((1.0, 1.3))), template.choice((WHITE, (250, 246, 236))))
    size, face = template.randint(19, 22), template.choice(("serif", "times", "sans"))
    columns, margin = template.randint(1, 2), 50
    letter, line_height = font(size, face), round(size * 1.5)
    draw.text((margin, 40), words(template, 3), INK, font(32, "bold" if face == "sans" else face))
    column_width = (width - 2 * margin - 30 * (columns - 1)) // columns
    lines = (image.height - 160) // line_height
    # Which lines end a paragraph is the template's; the last of them is half a line.
    ends = {line for line in range(lines * columns) if template.random() < 0.13}
    text = [_line(content.random, letter, column_width * (0.5 if i in ends else 1)) for i in range(lines * columns)]
    content.alter(text, _other_word_in_line)
    for i, line in enumerate(text):
        column, row = divmod(i, lines)
        x, y = float(margin + column * (column_width + 30)), 110 + row * line_height
        gap = 0.0
        if i not in ends and len(line) > 1:
            gap = (column_width - sum(letter.getlength(word) for word in line)) / (len(line) - 1)
        for word in line:
            draw.text((x, y), word, INK, letter)
            x += letter.getlength(word) + (gap or letter.getlength(" "))
    draw.text((width / 2, image.height - 25), str(template.randint(2, 300)), INK, font(16, face), anchor="mm")
    return image


def form(template: Random, content: Content) -> Image.Image:
    """Boxes with labels, filled in, and ticks."""
    width, rows = template.randint(660, 820), template.randint(6, 9)
    height = 74
    image, draw = page(width, 110 + rows * height, template.choice((WHITE, (247, 248, 240))))
    color, ink = template.choice(STRONG_COLORS[:3]), template.choice(((20, 40, 140), INK))
    draw.text((30, 30), f"Form {template.randint(10, 99)}-{template.choice('ABC')}", color, font(28, "bold"))
    draw.text((width - 30, 40), f"Department of {words(template, 1)}", INK, font(18), anchor="ra")
    halves = [template.random() < 0.5 for _ in range(rows)]
    entries = []
    for half in halves:
        entries.append(content.random.choice(NAMES) if not half else number(content.random, 7, 0))
        entries.append(words(content.random, 1) if half else "")
    filled = [entry for entry in entries if entry]
    content.alter(filled, _other_entry)
    remaining = iter(filled)
    ticks = [content.random.random() < 0.5 for _ in range(rows)]
    for row, half in enumerate(halves):
        y = 90 + row * height
        spans = ((30, width * 0.45), (width * 0.5, width - 130)) if half else ((30, width - 130),)
        for left, right in spans:
            draw.text((left, y), template.choice(WORDS).capitalize() + ":", (90, 90, 90), font(15))
            draw.rectangle((left, y + 20, right, y + 58), outline=color, width=2)
            draw.text((left + 12, y + 39), next(remaining), ink, font(24, "serif"), anchor="lm")
        draw.rectangle((width - 100, y + 24, width - 72, y + 52), outline=INK, width=2)
        if ticks[row]:
            draw.line((width - 96, y + 38, width - 88, y + 48, width - 74, y + 24), fill=ink, width=4)
        draw.text((width - 62, y + 38), template.choice(("yes", "no", "n/a")), INK, font(16), anchor="lm")
    return image


def calendar(template: Random, content: Content) -> Image.Image:
    """A month with appointments."""
    width = template.randint(760, 1000)
    cell, row_height = (width - 40) // 7, template.randint(84, 100)
    image, draw = page(width, 130 + 6 * row_height + 20)
    colors = template.sample(STRONG_COLORS[:3] + STRONG_COLORS[6:12], 3)
    draw.rectangle((0, 0, width, 80), fill=colors[0])
    month = content.random.choice(MONTHS)
    draw.text((20, 40), f"{month} {content.random.randint(2001, 2029)}", WHITE, font(36, "bold"), anchor="lm")
    for i, weekday in enumerate(("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")):
        draw.text((20 + (i + 0.5) * cell, 105), weekday, INK, font(18, "bold"), anchor="mm")
    start = content.random.randrange(7)
    days = content.random.sample(range(1, 29), 7)
    events = [(day, content.random.choice(WORDS), content.random.randrange(1, 3)) for day in days]
    free = [day for day in range(1, 29) if day not in days]
    content.alter(events, lambda event, random: (random.choice(free), event[1], event[2]))
    for box in range(42):
        x, y = 20 + box % 7 * cell, 130 + box // 7 * row_height
        draw.rectangle((x, y, x + cell, y + row_height), outline=(180, 180, 180))
        day = box - start + 1
        if 1 <= day <= (28 if month == "February" else 30):
            draw.text((x + 8, y + 6), str(day), INK, font(20))
            for when, what, color in events:
                if when == day:
                    draw.rounded_rectangle((x + 4, y + 36, x + cell - 4, y + 64), 5, fill=colors[color])
                    draw.text((x + cell / 2, y + 50), what, WHITE, font(16), anchor="mm")
    return image


#: Strokes of the digits in a box of 10 x 16.
_STROKES: dict[int, list[list[tuple[float, float]]]] = {
    0: [[(5, 0), (1, 3), (0, 9), (2, 15), (5, 16), (9, 13), (10, 7), (8, 2), (5, 0)]],
    1: [[(2, 4), (6, 0), (6, 16)]],
    2: [[(0, 4), (2, 1), (6, 0), (9, 2), (9, 6), (5, 11), (0, 16), (10, 16)]],
    3: [[(0, 2), (5, 0), (9, 3), (8, 6), (4, 8), (9, 10), (9, 14), (5, 16), (0, 14)]],
    4: [[(7, 16), (7, 0), (0, 11), (10, 11)]],
    5: [[(9, 0), (1, 0), (1, 7), (6, 6), (10, 10), (8, 15), (4, 16), (0, 14)]],
    6: [[(8, 0), (3, 4), (0, 10), (2, 15), (6, 16), (9, 13), (8, 9), (4, 8), (0, 11)]],
    7: [[(0, 0), (10, 0), (4, 16)], [(3, 8), (9, 8)]],
    8: [[(5, 7), (1, 4), (3, 0), (7, 0), (9, 3), (5, 7), (1, 11), (2, 15), (7, 16), (10, 12), (5, 7)]],
    9: [[(9, 4), (5, 0), (1, 2), (1, 6), (5, 8), (9, 5), (9, 3), (8, 16)]],
}


def digits_by_hand(template: Random, content: Content) -> Image.Image:
    """A sheet of squared paper with a digit in each box."""
    rows, columns, box = template.randint(5, 8), template.randint(7, 11), template.randint(70, 90)
    paper, ink = template.choice(((WHITE, INK), ((250, 246, 230), (25, 45, 140)), ((15, 15, 15), WHITE)))
    image, draw = page(columns * box + 20, rows * box + 20, paper)
    line = tuple((a * 3 + b) // 4 for a, b in zip(paper, ink, strict=True))
    digits = [content.random.randrange(10) for _ in range(rows * columns)]
    content.alter(digits, other_of(tuple(range(10))))
    for i, digit in enumerate(digits):
        x, y = 10 + i % columns * box, 10 + i // columns * box
        draw.rectangle((x, y, x + box, y + box), outline=line)
        # The hand, drawn anew for each box, is the template's: the digit alone differs.
        hand = Random(template.getrandbits(32))
        scale, left, top = box / 16 * 0.62, x + box * 0.28, y + box * 0.18
        slant = hand.uniform(-0.1, 0.25)
        for stroke in _STROKES[digit]:
            points = [
                (left + (px + slant * (8 - py) + hand.gauss(0, 0.4)) * scale, top + (py + hand.gauss(0, 0.4)) * scale)
                for px, py in stroke
            ]
            draw.line(_smooth(points), fill=ink, width=round(box / 14), joint="curve")
    return image.filter(ImageFilter.GaussianBlur(0.7))


def _smooth(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Corners cut twice (Chaikin)."""
    for _ in range(2):
        cut = [points[0]]
        for (ax, ay), (bx, by) in pairwise(points):
            cut += [(ax * 0.75 + bx * 0.25, ay * 0.75 + by * 0.25), (ax * 0.25 + bx * 0.75, ay * 0.25 + by * 0.75)]
        points = [*cut, points[-1]]
    return points


def _line(random: Random, letter: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """As many words as fit."""
    line: list[str] = []
    space = letter.getlength(" ")
    used = -space
    while True:
        word = random.choice(SHORT_WORDS if line and random.random() < 0.35 else WORDS)
        used += letter.getlength(word) + space
        if used > width and line:
            return line
        line.append(word)


def _other_word_in_line(line: list[str], random: Random) -> list[str]:
    """The longest word replaced by one of its length, so that the rest stays in place."""
    longest = max(line, key=len)
    other = random.choice([word for word in WORDS if word != longest and len(word) == len(longest)])
    return [other if word == longest else word for word in line]


def _other_entry(entry: str, random: Random) -> str:
    if entry.isdigit():
        return other_number(entry, random)
    return random.choice([name for name in NAMES if name != entry]) if " " in entry else other_words(entry, random)
