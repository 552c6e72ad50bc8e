"""Sentences to vectors: each different one once, without truncation or waste, in fp32.

The seven benchmarks hold 37,700 sentences, of which 26,083 differ. They are tokenised in one go,
sorted by length, and embedded in batches of about as many tokens each, so that next to nothing is
padding.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from simgpt.config import Pooling
from simgpt.encoder import load_encoder, longest_text
from simgpt.errors import SimgptError
from simgpt.progress import progress as progress_bar

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# No STS sentence is longer; encoders with fewer positions keep their own limit.
MAX_TOKENS = 512
# Large enough to keep the processor busy, small enough for its caches.
BATCH_TOKENS = 2048

Floats32 = NDArray[np.float32]
Ids = NDArray[np.int64]


class Scorer(Protocol):
    """What embeds sentences, whichever library computes it."""

    padding_id: int

    def tokenize(self, sentences: Sequence[str]) -> list[list[int]]:
        """Token ids of each sentence, special tokens included, cut to the encoder's positions."""
        ...

    def embed(self, ids: Ids, mask: Ids) -> Floats32:
        """Vectors of shape (batch, dim) from ids and attention mask of shape (batch, tokens)."""
        ...


def load_scorer(name: str, *, pooling: Pooling = Pooling.AUTO) -> "SentenceTransformer | Scorer":
    """What `encode` takes, by name: as `simgpt.encoder.load_encoder` takes it."""
    return load_encoder(name, pooling=pooling)


def encode(
    model: "SentenceTransformer | Scorer", sentences: Iterable[str], *, progress: bool = False
) -> dict[str, Floats32]:
    """Encode every different sentence once.

    Training cuts sentences at 32 tokens, evaluation does not: the encoder's limit is raised to what
    its positions allow.

    Args:
        model: A loaded encoder.
        sentences: Texts, in any order; repeated ones cost nothing.
        progress: Show how far it is.

    Returns:
        A vector of shape (dim,) for each different sentence.

    Raises:
        SimgptError: the encoder gave a vector that is not finite, or vectors of several sizes.
    """
    unique = list(dict.fromkeys(sentences))
    scorer = _scorer(model)
    vectors = _encode_batches(scorer, unique, progress) if unique else np.zeros((0, 0), np.float32)
    if len(broken := np.flatnonzero(~np.isfinite(vectors).all(axis=1))):
        raise SimgptError(f"the model gave a vector that is not finite for: {unique[broken[0]]!r}")
    return dict(zip(unique, vectors, strict=True))


def _encode_batches(scorer: Scorer, unique: Sequence[str], progress: bool) -> Floats32:
    tokens = scorer.tokenize(unique)
    lengths = np.array([len(ids) for ids in tokens])
    found: Floats32 | None = None
    with progress_bar("encoding, tokens", int(lengths.sum()), show=progress) as advance:
        for rows in _batches(lengths):
            ids = np.full((len(rows), lengths[rows].max()), scorer.padding_id, dtype=np.int64)
            mask = np.zeros_like(ids)
            for place, row in enumerate(rows):
                ids[place, : lengths[row]] = tokens[row]
                mask[place, : lengths[row]] = 1
            vectors = scorer.embed(ids, mask)
            if found is None:
                found = np.empty((len(unique), vectors.shape[-1]), dtype=np.float32)
            if vectors.shape != (len(rows), found.shape[1]):
                raise SimgptError(
                    f"the model gave vectors of shape {vectors.shape} for {len(rows)} sentences "
                    f"after vectors of {found.shape[1]} dimensions"
                )
            found[rows] = vectors
            advance(int(lengths[rows].sum()))
    assert found is not None  # noqa: S101 - there is at least one batch
    return found


def _batches(lengths: NDArray[np.int64]) -> Iterator[NDArray[np.intp]]:
    """Rows of like length, longest first, so that a batch too large for the memory is the first."""
    order = np.argsort(-lengths, kind="stable")
    first = 0
    while first < len(order):
        rows = max(1, BATCH_TOKENS // max(1, int(lengths[order[first]])))
        yield order[first : first + rows]
        first += rows


class _TorchScorer:
    """A SentenceTransformer whose first module is a transformer with a fast tokenizer."""

    def __init__(self, encoder: "SentenceTransformer") -> None:
        self.encoder = encoder.eval()
        self.tokenizer: Any = encoder.tokenizer
        self.padding_id = int(self.tokenizer.pad_token_id or 0)
        self.limit = min(MAX_TOKENS, longest_text(encoder) or MAX_TOKENS)
        self.has_types = "token_type_ids" in self.tokenizer.model_input_names

    def tokenize(self, sentences: Sequence[str]) -> list[list[int]]:
        # Padding is refused by name: a tokenizer's file may ask for it, up to 128 tokens.
        found: list[list[int]] = self.tokenizer(
            list(sentences),
            truncation=True,
            max_length=self.limit,
            padding=False,
            return_attention_mask=False,
            return_token_type_ids=False,
        )["input_ids"]
        return found

    def embed(self, ids: Ids, mask: Ids) -> Floats32:
        import torch

        device = self.encoder.device
        features = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
        if self.has_types:
            features["token_type_ids"] = torch.zeros_like(features["input_ids"])
        with torch.inference_mode():
            on_device = {name: tensor.to(device) for name, tensor in features.items()}
            vectors = self.encoder(on_device)["sentence_embedding"]
            found: Floats32 = vectors.float().cpu().numpy()
        return found


def _scorer(model: "SentenceTransformer | Scorer") -> Scorer:
    from sentence_transformers import SentenceTransformer

    return _TorchScorer(model) if isinstance(model, SentenceTransformer) else model
