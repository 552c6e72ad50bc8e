"""Sentences to vectors: each different sentence once, without truncation, in fp32."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simgpt.encoder import longest_text
from simgpt.errors import SimgptError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# No STS sentence is longer; encoders with fewer positions keep their own limit.
MAX_TOKENS = 512


def encode(
    model: "SentenceTransformer",
    sentences: Iterable[str],
    *,
    batch_size: int = 64,
    progress: bool = False,
) -> dict[str, NDArray[np.float32]]:
    """Encode every different sentence once.

    Training cuts sentences at 32 tokens, evaluation does not: for the call, the encoder's limit is
    raised to what its positions allow.

    Returns:
        A vector of shape (dim,) for each different sentence.

    Raises:
        SimgptError: the encoder gave a vector that is not finite.
    """
    unique = list(dict.fromkeys(sentences))
    limit = model.max_seq_length
    model.max_seq_length = min(MAX_TOKENS, longest_text(model) or MAX_TOKENS)
    try:
        vectors = model.encode(
            unique, batch_size=batch_size, show_progress_bar=progress, convert_to_numpy=True
        )
    finally:
        model.max_seq_length = limit
    vectors = np.asarray(vectors, dtype=np.float32)
    if len(broken := np.flatnonzero(~np.isfinite(vectors).all(axis=1))):
        raise SimgptError(f"the model gave a vector that is not finite for: {unique[broken[0]]!r}")
    return dict(zip(unique, vectors, strict=True))
