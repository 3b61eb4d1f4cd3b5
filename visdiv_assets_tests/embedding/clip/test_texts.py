"""CLIP's tower for texts beside transformers called directly, on small models with random weights."""

from __future__ import annotations

import shutil
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from visdiv_assets.embedding import ClipTexts, load_clip_texts
from visdiv_assets.embedding.clip import texts
from visdiv_assets.embedding.clip.checkpoints import find_checkpoint
from visdiv_assets.embedding.interface import unit_length
from visdiv_assets.errors import VisdivError
from visdiv_assets_tests.conftest import made_once
from visdiv_assets_tests.testing.clip_models import LIMIT, small_clip, small_siglip

#: Short, empty, longer than the model takes, of other scripts, with what the tokenizer takes for its own marks.
TEXTS = [
    "a red cat",
    "the blue dog",
    "",
    "   ",
    "the image of a cat of the dog of a red cat of the blue dog",
    "x" * 300,
    "Ein Bild, größer als 3 Äpfel\nund 日本語 🎈",
    "a cat <|endoftext|> a dog",
    "A RED CAT",
]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "clip_of_texts", small_clip)


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "siglip_of_texts", small_siglip)


def load(folder: Path, *, windows: bool = False, batch_size: int = 0) -> ClipTexts:
    return load_clip_texts(str(folder), device="cpu", windows=windows, batch_size=batch_size)


@pytest.fixture(scope="module")
def embedder(clip: Path) -> ClipTexts:
    return load(clip)


def direct(folder: Path, texts: list[str], padding: str = "longest") -> np.ndarray:
    """The features that transformers gives of a checkpoint, by its own tokenizer and model."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    tokens = tokenizer(texts, padding=padding, truncation=True, max_length=LIMIT, return_tensors="pt")
    with torch.inference_mode():
        given = model.get_text_features(**tokens)
    features = given if isinstance(given, torch.Tensor) else given.pooler_output
    vectors: np.ndarray = features.numpy()
    return vectors


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    found: np.ndarray = (unit_length(left) * unit_length(right)).sum(axis=1)
    return found


@pytest.mark.parametrize(("name", "padding"), [("clip", "longest"), ("siglip", "max_length")])
@pytest.mark.parametrize("batch_size", [0, 1, 2])
def test_vectors_are_those_of_transformers(
    name: str, padding: str, batch_size: int, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(name)
    expected = direct(folder, TEXTS, padding)
    vectors, norms = load(folder, batch_size=batch_size).embed(TEXTS)
    assert cosines(vectors, expected).min() > 0.9999
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(norms, np.linalg.norm(expected, axis=1), rtol=1e-4)
    # The texts differ enough for that to say something.
    assert unit_length(expected[0:1]) @ unit_length(expected[4:5]).T < 0.99


def test_threads_and_the_order_of_texts_change_nothing(clip: Path) -> None:
    embedder = load(clip, batch_size=2)
    vectors, norms = embedder.embed(TEXTS)
    turned, turned_norms = embedder.embed(TEXTS[::-1], threads=3)
    np.testing.assert_allclose(turned[::-1], vectors, atol=1e-5)
    np.testing.assert_allclose(turned_norms[::-1], norms, rtol=1e-5)


def test_no_texts_give_an_empty_matrix(clip: Path) -> None:
    vectors, norms = load(clip).embed([])
    assert (vectors.shape, norms.shape) == ((0, 32), (0,))
    assert vectors.dtype == np.float32


@pytest.mark.parametrize(
    ("words", "truncated"), [(0, False), (1, False), (LIMIT - 2, False), (LIMIT - 1, True), (500, True)]
)
def test_all_tokens_are_counted_and_a_text_that_is_cut_is_marked(clip: Path, words: int, truncated: bool) -> None:
    tokens = load(clip).tokenize(" ".join(["cat"] * words))
    assert (tokens.count, tokens.truncated) == (words + 2, truncated)
    (sequence,) = tokens.sequences
    assert len(sequence) == min(words + 2, LIMIT)


def test_what_is_beyond_the_limit_does_not_matter(clip: Path) -> None:
    start = " ".join(["cat"] * (LIMIT - 2))
    vectors, _ = load(clip).embed([start, f"{start} red dog", f"the {start}"])
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)
    assert vectors[0] @ vectors[2] < 0.999


def test_model_ids_name_the_token_limit_and_windows(clip: Path) -> None:
    weights = find_checkpoint(str(clip)).weights_id
    assert load(clip).model_id == f"{weights}/text_{LIMIT}"
    assert load(clip, windows=True).model_id == f"{weights}/text_{LIMIT}_windows"


# Windows -------------------------------------------------------------------------------------------------------------


def test_a_prefix_is_put_before_each_text(clip: Path) -> None:
    prefixes = ("", "A photo depicts ", "A photo depicts", " ")
    plain, prefixed, unspaced, empty = (load_clip_texts(str(clip), device="cpu", prefix=prefix) for prefix in prefixes)
    expected = plain.embed(["A photo depicts a cat", "A photo depicts a dog"]).vectors
    assert np.array_equal(prefixed.embed(["a cat", "a dog"]).vectors, expected)
    assert prefixed.model_id != plain.model_id
    assert (unspaced.model_id, empty.model_id) == (prefixed.model_id, plain.model_id)


def words(*counts: tuple[str, int]) -> str:
    return " ".join(word for word, count in counts for _ in range(count))


def test_a_short_text_is_one_window(clip: Path) -> None:
    plain, windowed = load(clip), load(clip, windows=True)
    short = [text for text in TEXTS if plain.tokenize(text).count <= LIMIT]
    assert len(short) >= 5
    np.testing.assert_allclose(windowed.embed(short).vectors, plain.embed(short).vectors, atol=1e-6)


@pytest.mark.parametrize("count", [LIMIT - 1, LIMIT, 20, 21, 28, 100])
def test_windows_overlap_by_half_are_full_and_leave_nothing_out(clip: Path, count: int) -> None:
    embedder = load(clip, windows=True)
    tokens = embedder.tokenize(" ".join(("cat", "dog", "red", "blue", "of")[place % 5] for place in range(count)))
    (whole,) = load(clip).tokenize("cat").sequences
    room = LIMIT - 2
    content = embedder._encode(" ".join(("cat", "dog", "red", "blue", "of")[place % 5] for place in range(count)))
    assert (tokens.count, tokens.truncated) == (count + 2, False)
    assert all((window[0], window[-1], len(window)) == (whole[0], whole[-1], LIMIT) for window in tokens.sequences)
    starts = [*range(0, count - room, room // 2), count - room]
    assert [window[1:-1] for window in tokens.sequences] == [content[start : start + room] for start in starts]
    assert len(tokens.sequences) >= 2


def test_a_long_text_is_the_mean_of_its_windows(clip: Path) -> None:
    text = words(("cat", 14), ("dog", 7), ("red", 7))
    windows = [words(("cat", 14)), words(("cat", 7), ("dog", 7)), words(("dog", 7), ("red", 7))]
    parts = direct(clip, windows)
    found = load(clip, windows=True).embed(["a cat", text, "blue"])
    expected = unit_length(unit_length(parts).mean(axis=0, keepdims=True))
    assert cosines(found.vectors[1:2], expected)[0] > 0.9999
    assert found.norms[1] == pytest.approx(np.linalg.norm(parts, axis=1).mean(), rel=1e-4)
    assert cosines(found.vectors[[0, 2]], direct(clip, ["a cat", "blue"])).min() > 0.9999


# Long texts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["the cat and 12 dogs. " * 50_000, "x" * 1_000_000], ids=["words", "one word"])
def test_a_text_of_a_megabyte_is_counted_in_full(clip: Path, text: str) -> None:
    embedder = load(clip)
    begin = time.monotonic()
    tokens = embedder.tokenize(text)
    assert time.monotonic() - begin < 60
    assert tokens.truncated
    assert tokens.count > 300_000
    assert tokens.sequences[0][:-1] == embedder.tokenize(text[:2000]).sequences[0][:-1]


@given(st.text(alphabet="aB9é'.s\u0301\u0327Σ中\u1100\u1161<|>- \n\t\u00a0\u3000", max_size=200), st.integers(1, 30))
@settings(deadline=None)
def test_a_text_in_pieces_has_the_tokens_of_the_whole(embedder: ClipTexts, text: str, piece: int) -> None:
    whole = embedder.tokenize(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts, "PIECE", piece)
        assert embedder.tokenize(text) == whole
        assert embedder._encode(text) == [token for part in embedder._pieces(text) for token in embedder._encode(part)]


def test_only_texts_with_white_space_are_split_into_pieces(clip: Path) -> None:
    embedder = load(clip)
    text = "a cat; a dog\n" * 20_000
    pieces = list(embedder._pieces(text))
    assert "".join(pieces) == text
    assert len(pieces) == 6
    assert max(map(len, pieces)) < 50_010
    assert len(list(embedder._pieces("x" * 200_000))) == 1
    embedder._splits = False
    assert list(embedder._pieces(text)) == [text]


def test_of_long_texts_only_the_tokens_that_are_read_are_kept(clip: Path) -> None:
    embedder = load(clip)
    embedder.tokenize("a cat " * 10)
    tracemalloc.start()
    kept = [embedder.tokenize(f"cat {number} " + "dog " * 50_000) for number in range(8)]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(kept) == 8
    assert size < 200_000


# What cannot be used -------------------------------------------------------------------------------------------------


def refused(folder: Path) -> str:
    """The one line that a checkpoint is refused with."""
    with pytest.raises(VisdivError) as caught:
        load(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_checkpoint_with_the_tower_for_texts_alone_is_enough(clip: Path, tmp_path: Path) -> None:
    folder = small_clip(tmp_path / "text", towers=["text"])
    assert load(folder).embed(TEXTS).vectors.shape == (len(TEXTS), 32)


def test_a_checkpoint_without_a_tower_for_texts_is_refused(tmp_path: Path) -> None:
    folder = small_clip(tmp_path / "vision", towers=["vision"])
    assert refused(folder) == "vision has no encoder for texts; use a checkpoint with both"


def test_a_damaged_tokenizer_is_refused(clip: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(clip, tmp_path / "own"))
    (folder / "tokenizer.json").write_text("{")
    assert "the tokenizer cannot be read" in refused(folder)
