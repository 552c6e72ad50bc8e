r"""The training objectives, as pure functions on tensors, and what gathering does to them.

All take sentence vectors of shape (batch, dim) and return a scalar of the same number type. Row `i`
of each argument belongs to triplet `i`: a sentence :math:`x_i`, its similar sentence :math:`x_i^+`
and its dissimilar one :math:`x_i^-`.
"""

import torch
import torch.distributed as dist
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
    logits = simcse_logits(
        anchor,
        positive,
        negative,
        temperature=temperature,
        hard_negative_weight=hard_negative_weight,
    )
    return functional.cross_entropy(logits, torch.arange(len(anchor), device=logits.device))


def simcse_logits(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor | None = None,
    *,
    temperature: float = 0.05,
    hard_negative_weight: float = 0.0,
) -> Tensor:
    r"""The scores that `simcse_loss` turns into a cross-entropy; arguments as there.

    Returns:
        Shape (batch, 2 batch), or (batch, batch) without `negative`. Row `i` holds
        :math:`s(x_i, x_1^+), \dots, s(x_i, x_N^+), s(x_i, x_1^-), \dots, s(x_i, x_N^-)`, the
        hard-negative weight included; the right answer is column `i`.
    """
    logits = cosines(anchor, positive) / temperature
    if negative is None:
        return logits
    own = hard_negative_weight * torch.eye(len(anchor)).to(logits)
    return torch.cat([logits, cosines(anchor, negative) / temperature + own], dim=1)


def energy_hinge_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, *, margin: float = 0.2
) -> Tensor:
    r"""PromCSE's energy-based hinge: no negative may come within `margin` of the positive.

    .. math::

        \frac{1}{N} \sum_{i=1}^{N} \max\left( 0,\; m - \cos(x_i, x_i^+)
            + \max\left( \max_{j \neq i} \cos(x_i, x_j^+),\; \max_{k} \cos(x_i, x_k^-) \right)
            \right)

    (Jiang et al., 2022, section 3.3; Sim-GPT adds it to `simcse_loss` with weight 5, large 5.7.)
    Where cross-entropy weighs all negatives, this looks at the hardest one only. Two traps: these
    are plain cosines, not divided by the temperature, and the hardest negative may as well be
    another triplet's *similar* sentence. Gradients flow to both sides.

    Args:
        anchor: Sentence vectors, shape (batch, dim).
        positive: Vectors of the similar sentences, shape (batch, dim).
        negative: Vectors of the dissimilar sentences, shape (batch, dim).
        margin: The margin :math:`m`; the paper uses 0.2.

    Returns:
        The mean loss, a scalar.
    """
    to_positives = cosines(anchor, positive)
    own = torch.eye(len(anchor), dtype=torch.bool, device=anchor.device)
    others = to_positives.masked_fill(own, -torch.inf)
    hardest = torch.cat([others, cosines(anchor, negative)], dim=1).amax(dim=1)
    return functional.relu(margin - to_positives.diagonal() + hardest).mean()


def cosines(left: Tensor, right: Tensor) -> Tensor:
    """Cosine of every row of `left` (n, dim) with every row of `right` (m, dim): shape (n, m)."""
    return functional.normalize(left, eps=1e-8) @ functional.normalize(right, eps=1e-8).T


def gather_across_ranks(rows: Tensor) -> Tensor:
    r"""All processes' rows in rank order, so that every process sees the whole batch.

    Only a process's own rows carry a gradient; those of the others arrive as plain numbers. With
    :math:`W` processes, each then computes the same loss of the whole batch, and the gradients,
    which data-parallel training *averages*, come out :math:`1/W` of what one process would get.
    The reference code leaves it at that; other terms of a loss are not scaled, so its results
    depend on the number of GPUs. Here the gradient of the own rows is multiplied by :math:`W`: the
    average is that of one process, however many there are. (A published run on 4 GPUs is then
    repeated by the factor 1/4 on the gathered terms: the setting `contrastive_weight`.)

    Args:
        rows: Shape (batch, dim), the same on all processes.

    Returns:
        Shape (processes x batch, dim). Without a process group, `rows` as they are.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return rows
    world = dist.get_world_size()
    gathered = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(world)]
    dist.all_gather(gathered, rows.detach().contiguous())
    # The value of `rows`, `world` times its gradient.
    gathered[dist.get_rank()] = rows.detach() + world * (rows - rows.detach())
    return torch.cat(gathered)
