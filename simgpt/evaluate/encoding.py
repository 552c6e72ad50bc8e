"""Sentences to vectors: each different one once, without truncation or waste.

The seven benchmarks hold 37,700 sentences, of which 26,083 differ. They are tokenised in one go,
sorted by length, and embedded in batches of about as many tokens each, so that next to nothing is
padding.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simgpt.encoder import longest_text
from simgpt.errors import SimgptError
from simgpt.evaluate.scorers import (
    MAX_TOKENS,
    Floats32,
    Scorer,
    TorchScorer,
    takes_tokens,
    token_ids,
)
from simgpt.progress import progress as progress_bar

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def encode(
    model: "Scorer | SentenceTransformer", sentences: Iterable[str], *, progress: bool = False
) -> dict[str, Floats32]:
    """Encode every different sentence once.

    Training cuts sentences at 32 tokens, evaluation does not: the encoder's limit is raised to what
    its positions allow.

    Args:
        model: From `load_scorer`, or an encoder.
        sentences: Texts in any order; repeated ones cost nothing.
        progress: Show how far it is.

    Returns:
        A vector of shape (dim,) for each different sentence.

    Raises:
        SimgptError: the encoder gave a vector that is not finite, or vectors of several sizes.
    """
    from sentence_transformers import SentenceTransformer

    unique = list(dict.fromkeys(sentences))
    if not unique:
        return {}
    if not isinstance(model, SentenceTransformer):
        vectors = _by_tokens(model, unique, progress)
    elif takes_tokens(model):
        vectors = _by_tokens(TorchScorer(model), unique, progress)
    else:
        vectors = _as_it_does(model, unique, progress)
    if len(broken := np.flatnonzero(~np.isfinite(vectors).all(axis=1))):
        raise SimgptError(f"the model gave a vector that is not finite for: {unique[broken[0]]!r}")
    return dict(zip(unique, vectors, strict=True))


def _by_tokens(scorer: Scorer, unique: Sequence[str], progress: bool) -> Floats32:
    """Vectors of shape (sentences, dim), batch by batch."""
    tokens = token_ids(scorer, unique)
    lengths = np.array([len(ids) for ids in tokens])
    found: Floats32 | None = None
    with progress_bar("encoding tokens", int(lengths.sum()), show=progress) as advance:
        for rows in _batches(lengths, scorer.batch_tokens):
            shape = len(rows), int(lengths[rows].max())
            ids = np.full(shape, scorer.tokenizer.pad_token_id or 0, dtype=np.int64)
            mask = (np.arange(shape[1]) < lengths[rows, None]).astype(np.int64)
            ids[mask.astype(bool)] = np.concatenate([tokens[row] for row in rows])
            vectors = scorer.embed(ids, mask)
            if found is None:
                found = np.empty((len(unique), vectors.shape[-1]), dtype=np.float32)
            if vectors.shape != (len(rows), found.shape[1]):
                raise SimgptError(
                    f"the model gave vectors of shape {vectors.shape} for {len(rows)} sentences, "
                    f"and others of {found.shape[1]} dimensions"
                )
            found[rows] = vectors
            advance(int(lengths[rows].sum()))
    assert found is not None  # noqa: S101 - there is a batch
    return found


def _batches(lengths: NDArray[np.int64], batch_tokens: int) -> Iterator[NDArray[np.intp]]:
    """Rows of like length, the longest first: what does not fit into memory fails at once."""
    order = np.argsort(-lengths, kind="stable")
    first = 0
    while first < len(order):
        rows = max(1, batch_tokens // max(1, int(lengths[order[first]])))
        yield order[first : first + rows]
        first += rows


def _as_it_does(encoder: "SentenceTransformer", unique: list[str], progress: bool) -> Floats32:
    """Vectors by the encoder's own means, with its prompt and whatever else it has."""
    limit = encoder.max_seq_length
    encoder.max_seq_length = min(MAX_TOKENS, longest_text(encoder) or MAX_TOKENS)
    try:
        vectors = encoder.encode(unique, show_progress_bar=progress, convert_to_numpy=True)
    finally:
        encoder.max_seq_length = limit
    return np.asarray(vectors, dtype=np.float32)
