"""The masked-language-model auxiliary loss: keep the encoder's words while its sentences move."""

import copy
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from simgpt.errors import SimgptError

IGNORED = -100


def load_mlm_head(backbone: Path | str) -> nn.Module:
    """The checkpoint's own language-model head, its vocabulary matrix untied from the embeddings.

    SimCSE trains that matrix as a parameter of its own. It is often not stored, being the same as
    the embeddings'; it is then copied from them, never left random.

    Args:
        backbone: Model folder or hub id.

    Returns:
        A module from (n, hidden) to (n, vocabulary).

    Raises:
        SimgptError: the checkpoint holds no language-model head.
    """
    from transformers import AutoModelForMaskedLM

    model, loaded = AutoModelForMaskedLM.from_pretrained(str(backbone), output_loading_info=True)
    prefix = model.base_model_prefix
    random = sorted(
        name for name in loaded["missing_keys"] if not name.startswith(f"{prefix}.pooler.")
    )
    if random:
        raise SimgptError(
            f"{backbone}: holds no language-model head ({random[0]} would be random); set "
            "mlm_weight=0 or take a backbone with one"
        )
    head: nn.Module
    (head,) = (module for name, module in model.named_children() if name != prefix)
    return copy.deepcopy(head)


def mask_tokens(
    input_ids: Tensor,
    maskable: Tensor,
    *,
    rate: float,
    mask_id: int,
    vocabulary: int,
) -> tuple[Tensor, Tensor]:
    """Hide words as BERT does: of the chosen, 80% a mask token, 10% a random one, 10% unchanged.

    Args:
        input_ids: Token ids, shape (rows, tokens); not changed.
        maskable: True where a token may be chosen: no special token, no padding.
        rate: Chance of each to be chosen.
        mask_id: Id of the mask token.
        vocabulary: Number of ids to draw random tokens from.

    Returns:
        The ids with words hidden, and the labels: the ids to guess, `IGNORED` elsewhere.
    """
    chosen = maskable & (torch.rand_like(input_ids, dtype=torch.float) < rate)
    fate = torch.rand_like(input_ids, dtype=torch.float)
    hidden = torch.where(chosen & (fate < 0.8), mask_id, input_ids)
    drawn = torch.randint_like(input_ids, vocabulary)
    hidden = torch.where(chosen & (fate >= 0.9), drawn, hidden)
    return hidden, torch.where(chosen, input_ids, IGNORED)


def mlm_loss_sum(head: nn.Module, hidden: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the hidden words, summed over them.

    Only their positions go through the head: with 50,000 words the logits of all would not fit.

    Args:
        head: From (n, hidden) to (n, vocabulary).
        hidden: The encoder's token vectors, shape (rows, tokens, hidden).
        labels: Shape (rows, tokens), from `mask_tokens`.
    """
    chosen = labels != IGNORED
    logits = head(hidden[chosen]).float()
    return functional.cross_entropy(logits, labels[chosen], reduction="sum")
