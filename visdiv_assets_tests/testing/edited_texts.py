"""Texts of random words, and copies of them in which some words are replaced."""

from __future__ import annotations

import numpy as np

LETTERS = "abcdefghijklmnopqrstuvwxyz"


def vocabulary(size: int) -> np.ndarray:
    """Return different words of four letters, without repetition."""
    return np.array(["".join(LETTERS[word // 26**power % 26] for power in range(4)) for word in range(size)])


def random_texts(count: int, words: int, seed: int = 0, size: int = 5000) -> list[str]:
    """Return texts of some number of words, drawn by Zipf's law."""
    random = np.random.default_rng(seed)
    cumulated = np.cumsum(1 / np.arange(1, size + 1))
    drawn = np.searchsorted(cumulated, random.random((count, words)) * cumulated[-1])
    return [" ".join(text) for text in vocabulary(size)[drawn].tolist()]


def edited(text: str, share: float, random: np.random.Generator) -> str:
    """Return a text with a share of its words replaced by others, at random places."""
    words = text.split()
    for index in random.choice(len(words), round(share * len(words)), replace=False):
        words[index] = f"edited{LETTERS[random.integers(26)]}{LETTERS[random.integers(26)]}"
    return " ".join(words)
