"""The text tower of CLIP as an embedder: tokens, windows, and batches of texts of similar length."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from visdiv_assets.embedding.clip.checkpoints import TEXT_FILES
from visdiv_assets.embedding.clip.model import LOCAL_DATA, ClipModel, first_line, quiet
from visdiv_assets.embedding.interface import unit_length, unit_length_and_norms
from visdiv_assets.embedding.torch_embedder import one_torch_thread
from visdiv_assets.errors import ModelError
from visdiv_assets.threads import ordered_map

if TYPE_CHECKING:
    from torch import Tensor

#: Default texts per call.
CPU_BATCH, CUDA_BATCH = 16, 512

#: Minimum number of characters of a piece of a text; `_SPLIT` matches where a piece may end.
PIECE = 50_000
_SPLIT = re.compile(r"[ \n](?=[0-9A-Za-z])")


@dataclass(frozen=True)
class Tokens:
    """A tokenized text.

    Attributes:
        count: number of tokens of the whole text, with its begin and end tokens.
        truncated: whether some tokens are in no sequence.
        sequences: the model's input: one sequence of token ids, or one per window.
    """

    count: int
    truncated: bool
    sequences: list[list[int]]


class TextVectors(NamedTuple):
    """The vectors of some texts.

    Attributes:
        vectors: float32 [n, dimension], unit length.
        norms: float32 [n], lengths before scaling; for a text in windows, the mean over its windows.
    """

    vectors: np.ndarray
    norms: np.ndarray


class ClipTexts:
    """Embeds texts with CLIP.

    Attributes:
        model_id: names model, weights, how texts are truncated, and the prefix by the beginning of its SHA-256; see
            `checkpoints.same_weights`.
        dimension: length of a vector.
        device: the device that it runs on.
        batch_size: sequences per call.
        limit: maximum number of tokens of a sequence, with its begin and end tokens.
    """

    def __init__(self, model: ClipModel, *, windows: bool = False, prefix: str = "", batch_size: int = 0) -> None:
        """Prepare a model for texts.

        Args:
            model: the checkpoint's model on its device.
            windows: split long texts into overlapping windows, whose unit vectors are averaged; else truncate them.
            prefix: words put before each text, with a space between. They count as tokens of the text.
            batch_size: sequences per call; 0 for a default that depends on the device.

        Raises:
            ModelError: the checkpoint has no text tower, or no tokenizer.
        """
        model.require_texts()
        self._model = model
        self._windows = windows
        # As in the released code of CLIPScore.
        self._prefix = f"{prefix.rstrip()} " if prefix.strip() else ""
        self._cuda = model.device.type == "cuda"
        self._tokenizer = _load_tokenizer(model)
        self._before, self._after = self._find_special_tokens()
        self._splits = type(self._tokenizer).__name__.startswith("CLIPTokenizer")
        self.limit = min(model.text_limit or 1 << 30, int(self._tokenizer.model_max_length))
        self.device = str(model.device)
        self.batch_size = batch_size or (CUDA_BATCH if self._cuda else CPU_BATCH)
        # SigLIP was trained to read the last position of a sequence padded to full length.
        self._padding = "max_length" if _is_siglip(model) else "longest"
        prefixed = f"_prefix_{hashlib.sha256(self._prefix.encode()).hexdigest()[:8]}" if self._prefix else ""
        self.model_id = f"{model.checkpoint.weights_id}/text_{self.limit}{'_windows' if windows else ''}{prefixed}"
        self.dimension = self._run([[*self._before, *self._after]]).shape[1]

    def tokenize(self, text: str) -> Tokens:
        """Tokenize a text: count all tokens, and cut them into the model's sequences."""
        room = self.limit - len(self._before) - len(self._after)
        content: list[int] = []
        count = len(self._before) + len(self._after)
        for piece in self._pieces(self._prefix + text):
            tokens = self._encode(piece)
            count += len(tokens)
            content += tokens if self._windows else tokens[: room - len(content)]
        if len(content) <= room:
            return Tokens(count, count > self.limit, [self._add_special_tokens(content)])
        starts = [*range(0, len(content) - room, (room + 1) // 2), len(content) - room]
        return Tokens(count, False, [self._add_special_tokens(content[start : start + room]) for start in starts])

    def embed(self, texts: Sequence[str], *, threads: int = 1) -> TextVectors:
        """Embed texts, such as queries; see `embed_tokens`."""
        return self.embed_tokens([self.tokenize(text) for text in texts], threads=threads)

    def embed_tokens(self, texts: Sequence[Tokens], *, threads: int = 1) -> TextVectors:
        """Embed tokenized texts, in batches of similar length.

        Args:
            texts: in any order; all are in memory.
            threads: threads that call the model on a CPU.

        Returns:
            vectors and norms in the order of the texts; [0, dimension] and [0] for no texts.
        """
        if not texts:
            return TextVectors(np.empty((0, self.dimension), np.float32), np.empty(0, np.float32))
        sequences = [sequence for text in texts for sequence in text.sequences]
        order = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
        features = np.empty((len(sequences), self.dimension), np.float32)
        batches = [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        for chosen, found in zip(batches, self._batches(batches, sequences, threads), strict=True):
            features[chosen] = found
        vectors, norms = unit_length_and_norms(features)
        counts = np.array([len(text.sequences) for text in texts])
        if len(sequences) == len(texts):
            return TextVectors(vectors, norms)
        starts = np.cumsum(counts) - counts
        return TextVectors(
            unit_length(np.add.reduceat(vectors, starts, axis=0)),
            (np.add.reduceat(norms, starts) / counts).astype(np.float32),
        )

    def _batches(
        self, batches: Sequence[list[int]], sequences: Sequence[list[int]], threads: int
    ) -> Iterator[np.ndarray]:
        """Yield the features of each batch in order, computed in several threads on a CPU, one batch ahead on a GPU."""
        given = ([sequences[index] for index in batch] for batch in batches)
        if not self._cuda:
            with self._working():
                yield from ordered_map(self._run, given, threads=threads)
            return
        running: deque[Callable[[], np.ndarray]] = deque()
        for sequences_of_batch in given:
            running.append(self._start(sequences_of_batch))
            if len(running) > 1:
                yield running.popleft()()
        while running:
            yield running.popleft()()

    def _working(self) -> AbstractContextManager[None]:
        return nullcontext() if self._cuda else one_torch_thread()

    def _run(self, batch: list[list[int]]) -> np.ndarray:
        return self._start(batch)()

    def _start(self, batch: list[list[int]]) -> Callable[[], np.ndarray]:
        """Start a batch, and return a function that waits for its features; a GPU computes in the meantime."""
        import torch

        padded = self._tokenizer.pad(
            {"input_ids": batch}, padding=self._padding, max_length=self.limit, return_tensors="pt", verbose=False
        )
        used = self._tokenizer.model_input_names
        inputs = {name: tensor.to(self._model.device) for name, tensor in padded.items() if name in used}
        with torch.inference_mode():
            features: Tensor = self._model.text_features(inputs)

        def wait() -> np.ndarray:
            found: np.ndarray = features.cpu().numpy()
            return found

        return wait

    def _add_special_tokens(self, content: list[int]) -> list[int]:
        return [*self._before, *content, *self._after]

    def _pieces(self, text: str) -> Iterator[str]:
        """Split a text into pieces whose tokens together are the text's, since the tokenizer needs 500 bytes per token.

        OpenAI's tokenizer drops white space first, so that no token spans any, and normalization never joins an ASCII
        letter or digit to the character before it. Other tokenizers get the whole text.
        """
        start = 0
        while self._splits and len(text) - start > PIECE:
            found = _SPLIT.search(text, start + PIECE)
            if found is None:
                break
            yield text[start : found.start()]
            start = found.start()
        yield text[start:]

    def _encode(self, text: str) -> list[int]:
        """Tokenize in this thread, since the tokenizer's own threads would compete with the model's for cores."""
        if self._tokenizer.is_fast:
            tokens: list[int] = self._tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
            return tokens
        return list(self._tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"])

    def _find_special_tokens(self) -> tuple[list[int], list[int]]:
        """Return the tokens that begin every text, and those that end it."""
        encoded = self._tokenizer("a", return_special_tokens_mask=True)
        tokens, special = list(encoded["input_ids"]), list(encoded["special_tokens_mask"])
        before = next((index for index, mark in enumerate(special) if not mark), len(special))
        after = next((index for index, mark in enumerate(reversed(special)) if not mark), 0)
        return tokens[:before], tokens[len(tokens) - after :]


def _is_siglip(model: ClipModel) -> bool:
    return model.kind.startswith("siglip")


def _load_tokenizer(model: ClipModel) -> Any:
    """Load the checkpoint's tokenizer, with its own truncation and padding switched off.

    Raises:
        ModelError: there is none, or it cannot be read.
    """
    from transformers import AutoTokenizer

    folder = model.checkpoint.folder
    model.checkpoint.require(TEXT_FILES)
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(folder, **LOCAL_DATA)
    except (OSError, ValueError, KeyError, TypeError, ImportError) as error:
        raise ModelError(f"{folder}: the tokenizer cannot be read ({first_line(error)}): download it again") from None
    if tokenizer.is_fast:
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
    if tokenizer.pad_token_id is None:
        raise ModelError(f"{folder}: the tokenizer has no padding token: use another checkpoint")
    return tokenizer
