"""The loss against arithmetic that shares no code with it."""

import math
import random

import pytest
import torch

from simgpt.train import simcse_loss


def plain_loss(anchors, positives, negatives, temperature, weight):
    def cosine(a, b):
        dot = sum(x * y for x, y in zip(a, b, strict=True))
        return dot / math.sqrt(sum(x * x for x in a)) / math.sqrt(sum(x * x for x in b))

    total = 0.0
    for i, anchor in enumerate(anchors):
        right = math.exp(cosine(anchor, positives[i]) / temperature)
        below = sum(math.exp(cosine(anchor, p) / temperature) for p in positives)
        for j, negative in enumerate(negatives):
            own = math.exp(weight) if i == j else 1.0
            below += own * math.exp(cosine(anchor, negative) / temperature)
        total -= math.log(right / below)
    return total / len(anchors)


def vectors(seed, rows=4, dim=6):
    draw = random.Random(seed)
    return [[draw.gauss(0, 1) for _ in range(dim)] for _ in range(rows)]


def tensor(rows):
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("weight", [0.0, 0.8, -1.0])
@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_the_loss_equals_a_plain_loop_on_four_triplets(weight, temperature):
    a, p, n = vectors(1), vectors(2), vectors(3)
    loss = simcse_loss(
        tensor(a), tensor(p), tensor(n), temperature=temperature, hard_negative_weight=weight
    )
    assert loss.dtype == torch.float64
    assert loss.item() == pytest.approx(plain_loss(a, p, n, temperature, weight), abs=1e-9)


def test_without_hard_negatives_only_the_batch_counts():
    a, p = vectors(1), vectors(2)
    loss = simcse_loss(tensor(a), tensor(p))
    assert loss.item() == pytest.approx(plain_loss(a, p, [], 0.05, 0.0), abs=1e-9)


def test_the_hard_negative_weight_is_a_logit_on_the_own_negative_only():
    a, p, n = vectors(1), vectors(2), vectors(3)
    everywhere = plain_loss(a, p, [row for row in n for _ in range(2)], 0.05, 0.0)
    own = simcse_loss(tensor(a), tensor(p), tensor(n), hard_negative_weight=math.log(2)).item()
    assert own != pytest.approx(everywhere, abs=1e-6)
    assert own == pytest.approx(plain_loss(a, p, n, 0.05, math.log(2)), abs=1e-9)


def test_gradients_equal_finite_differences():
    a, p, n = (tensor(vectors(seed)).requires_grad_() for seed in (1, 2, 3))
    assert torch.autograd.gradcheck(
        lambda *columns: simcse_loss(*columns, temperature=0.5, hard_negative_weight=0.8), (a, p, n)
    )
