"""The training objectives, as pure functions on tensors."""

import torch
from torch import Tensor
from torch.nn import functional


def simcse_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor | None = None,
    *,
    temperature: float = 0.05,
    hard_negative_weight: float = 0.0,
) -> Tensor:
    r"""Supervised SimCSE: tell each anchor's positive from everything else in the batch.

    With :math:`s(a, b) = \cos(a, b) / \tau` and a batch of :math:`N` triplets
    :math:`(x_i, x_i^+, x_i^-)`,

    .. math::

        \ell_i = -\log \frac{e^{s(x_i, x_i^+)}}
            {\sum_{j=1}^{N} \left( e^{s(x_i, x_j^+)} + e^{w [i = j]} e^{s(x_i, x_j^-)} \right)}

    averaged over the anchors (Gao et al., 2021, equation 5; Sim-GPT trains with it unchanged).
    The trap: :math:`w` is a logit, added after the division by the temperature, and only to the
    anchor's *own* hard negative. Every other hard negative keeps weight one.

    Args:
        anchor: Sentence vectors, shape (batch, dim).
        positive: Vectors of the similar sentences, shape (batch, dim).
        negative: Vectors of the dissimilar sentences, shape (batch, dim), or None for in-batch
            negatives only.
        temperature: Divides every cosine; the paper uses 0.05.
        hard_negative_weight: The logit :math:`w`; the paper uses 0 (base) and 0.8 (large).

    Returns:
        The mean loss, a scalar.
    """
    anchor, positive = functional.normalize(anchor), functional.normalize(positive)
    logits = anchor @ positive.T / temperature
    if negative is not None:
        own = hard_negative_weight * torch.eye(len(anchor)).to(logits)
        logits = torch.cat(
            [logits, anchor @ functional.normalize(negative).T / temperature + own], 1
        )
    return functional.cross_entropy(logits, torch.arange(len(anchor), device=logits.device))
