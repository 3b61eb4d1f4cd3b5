"""Words of a list are found as whole words, and lists are read from files and from the package."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from visdiv_assets.curation import listed_words
from visdiv_assets.curation.listed_words import WordFinder, WordList, open_word_list
from visdiv_assets.errors import InputError

WORDS = WordList.of("test", ["Gosh", "darn it", "猫", "gosh"])


def found(texts: list[str | None], words: WordList = WORDS) -> list[tuple[int, str]]:
    index, word = WordFinder(words).find(pa.array(texts, pa.string()))
    return list(zip(index.tolist(), word.to_pylist(), strict=True))


def test_whole_words_match_in_whatever_case_and_between_signs() -> None:
    texts = ["GOSH!", "(gosh)", '"Darn,\n it"', "goshawk darn", None, "", "xgosh", "黒猫だ"]
    assert found(texts) == [(0, "gosh"), (1, "gosh"), (2, "darn it"), (7, "猫")]


def test_a_word_of_a_text_is_found_once() -> None:
    assert sorted(found(["gosh gosh gosh darn it"])) == [(0, "darn it"), (0, "gosh")]


def test_the_matches_are_those_of_a_plain_reference() -> None:
    random = np.random.default_rng(0)
    letters = ["ab", "abc", "b", "c", "ca", "bc"]
    texts = [" ".join(random.choice(letters, 6)) for _ in range(300)]
    words = WordList.of("random", ["ab", "b c", "ca ab", "bc bc"])
    expected = {
        (index, word)
        for index, text in enumerate(texts)
        for word in words.words
        if re.search(rf"(?<!\w){word}(?!\w)", text)
    }
    assert set(found(list(texts), words)) == expected
    assert expected


def test_positions_of_turns_and_images_are_kept() -> None:
    turns = [[("gosh", "no")], None, [("a", "b"), ("c", "gosh darn it")]]
    listed = [
        None if each is None else [{"user": user, "assistant": answer} for user, answer in each] for each in turns
    ]
    kind = pa.list_(pa.struct([("user", pa.string()), ("assistant", pa.string())]))
    batch = pa.record_batch([pa.array(listed, kind)], names=["texts"])
    (part, *_) = WordFinder(WORDS).in_shard([batch], 10)
    rows = [(row["row"], row["turn"], row["side"], row["word"]) for row in part.to_pylist()]
    assert rows == [(10, 0, "user", "gosh"), (12, 1, "assistant", "darn it"), (12, 1, "assistant", "gosh")]
    images = pa.table({"row": pa.array([4, 5], pa.int64()), "image_index": pa.array([1, 0], pa.int32())})
    (row,) = WordFinder(WORDS).in_images(images, pa.array(["", "oh gosh"])).to_pylist()
    assert row == {"row": 5, "turn": None, "image_index": 0, "side": "image", "word": "gosh"}


def test_a_list_is_that_of_the_file_or_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "words.txt").write_text("Gosh\n\ndarn  it\n", encoding="utf-8")
    listed = open_word_list(str(tmp_path / "words.txt"))
    assert listed == WordList("words.txt", ("gosh", "darn it"))
    packaged = open_word_list("")
    assert packaged is not None
    assert len(packaged.words) > 100
    monkeypatch.setattr(listed_words, "is_installed", lambda module: False)
    assert open_word_list("") is None


def test_an_entry_with_signs_is_left_out_and_not_cut() -> None:
    assert WordList.of("test", ["a$$", "d@rn", "half-baked", "gosh"]).words == ("half baked", "gosh")


def test_a_list_without_words_is_refused(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("!!!\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"words\.txt has no word"):
        open_word_list(str(tmp_path / "words.txt"))
    with pytest.raises(InputError, match="cannot read"):
        open_word_list(str(tmp_path / "none.txt"))
