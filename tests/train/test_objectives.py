"""Losses, logits and gradients against numpy: `Reference` knows nothing of torch.

Hinge cases are drawn in the plane, where a cosine is the cosine of the angle between two arrows.
"""

import numpy as np
import pytest
import torch

from simgpt.train.objectives import energy_hinge_loss, simcse_logits, simcse_loss

EXACT = 1e-9


class Reference:
    """Values and gradients worked out by hand; columns are positives, then negatives."""

    def __init__(self, anchors, *others):
        self.anchors = anchors
        self.columns = np.concatenate(others)
        self.left, self.left_length = self.unit(anchors)
        self.right, self.right_length = self.unit(self.columns)
        self.cosines = np.array([[sum(a * b) for b in self.right] for a in self.left])

    @staticmethod
    def unit(rows):
        lengths = np.array([[sum(x * x for x in row) ** 0.5] for row in rows])
        return rows / lengths, lengths

    def logits(self, temperature, weight):
        logits = self.cosines / temperature
        size = len(self.anchors)
        for i in range(len(self.columns) - size):  # no rounds without hard negatives
            logits[i, size + i] += weight
        return logits

    def simcse(self, temperature, weight):
        """The loss and its gradients: softmax minus one-hot, through the cosines."""
        size = len(self.anchors)
        loss, slopes = 0.0, np.zeros_like(self.cosines)
        for i, row in enumerate(self.logits(temperature, weight)):
            weights = np.exp(row - max(row))
            loss += (np.log(sum(weights)) + max(row) - row[i]) / size
            slopes[i] = weights / sum(weights)
            slopes[i, i] -= 1.0
        return loss, self.through_cosines(slopes / temperature / size)

    def hinge(self, margin):
        """The loss and its gradients: +1 at the hardest negative, -1 at the positive."""
        size = len(self.anchors)
        loss, slopes = 0.0, np.zeros_like(self.cosines)
        for i, hardest in enumerate(self.hardest()):
            gap = margin - self.cosines[i, i] + self.cosines[i, hardest]
            if gap > 0:
                loss += gap / size
                slopes[i, hardest] += 1.0 / size
                slopes[i, i] -= 1.0 / size
        return loss, self.through_cosines(slopes)

    def hardest(self):
        """For each anchor, the column of the closest sentence that is not its positive."""
        return [
            max((j for j in range(len(self.columns)) if j != i), key=row.__getitem__)
            for i, row in enumerate(self.cosines)
        ]

    def active(self, margin):
        return [
            bool(margin - row[i] + row[hardest] > 0)
            for i, (row, hardest) in enumerate(zip(self.cosines, self.hardest(), strict=True))
        ]

    def through_cosines(self, slopes):
        """Turn d loss / d cosine into gradients: d cos(a, b) / da = (b/|b| - cos a/|a|) / |a|."""
        left, right = np.zeros_like(self.anchors), np.zeros_like(self.columns)
        for i, j in np.ndindex(slopes.shape):
            a, b, cosine = self.left[i], self.right[j], self.cosines[i, j]
            left[i] += slopes[i, j] * (b - cosine * a) / self.left_length[i]
            right[j] += slopes[i, j] * (a - cosine * b) / self.right_length[j]
        return [left, *np.split(right, len(right) // len(left))]


def triplets(seed, *, size=5, dim=6, noise=0.7):
    """Anchors, positives that lean to them, and negatives that lean to them less."""
    draw = np.random.default_rng(seed)
    anchors = draw.normal(size=(size, dim))
    positives = anchors + noise * draw.normal(size=(size, dim))
    return anchors, positives, 0.5 * anchors + draw.normal(size=(size, dim))


def arrows(degrees, *, length):
    """Vectors in the plane; lengths differ, since cosines must not care."""
    angles = np.deg2rad(degrees)
    lengths = length + np.arange(len(degrees))[:, None]
    return lengths * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def leaves(*columns, dtype=torch.float64):
    return [torch.tensor(rows, dtype=dtype, requires_grad=True) for rows in columns]


def assert_equal_with_gradients(objective, columns, expected, gradients, *, tolerance=EXACT):
    inputs = leaves(*columns)
    loss = objective(*inputs)
    loss.backward()
    assert loss.shape == ()
    assert loss.item() == pytest.approx(expected, abs=tolerance, rel=0)
    for rows, gradient in zip(inputs, gradients, strict=True):
        np.testing.assert_allclose(rows.grad.numpy(), gradient, atol=tolerance, rtol=0)


@pytest.mark.parametrize("weight", [0.0, 0.8, -1.0])
@pytest.mark.parametrize("temperature", [0.05, 1.0])
@pytest.mark.parametrize("size", [1, 5])
def test_simcse_and_its_gradients_equal_arithmetic_by_hand(size, temperature, weight):
    columns = triplets(1, size=size)
    assert_equal_with_gradients(
        lambda *c: simcse_loss(*c, temperature=temperature, hard_negative_weight=weight),
        columns,
        *Reference(*columns).simcse(temperature, weight),
    )


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_simcse_without_hard_negatives_and_its_gradients_equal_arithmetic_by_hand(temperature):
    anchors, positives, _ = triplets(1)
    assert_equal_with_gradients(
        lambda *c: simcse_loss(*c, temperature=temperature),
        (anchors, positives),
        *Reference(anchors, positives).simcse(temperature, 0.0),
    )


def test_simcse_takes_the_papers_settings_when_told_nothing():
    columns = triplets(1)
    reference = Reference(*columns)
    assert_equal_with_gradients(simcse_loss, columns, *reference.simcse(0.05, 0.0))
    logits = simcse_logits(*leaves(*columns)).detach()
    np.testing.assert_allclose(logits.numpy(), reference.logits(0.05, 0.0), atol=EXACT, rtol=0)


@pytest.mark.parametrize("weight", [0.0, 0.8, -1.0])
@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_logits_hold_positives_then_negatives_with_the_weight_on_the_own_one(temperature, weight):
    columns = triplets(2)
    logits = simcse_logits(
        *leaves(*columns), temperature=temperature, hard_negative_weight=weight
    ).detach()
    assert logits.shape == (5, 10)
    np.testing.assert_allclose(
        logits.numpy(), Reference(*columns).logits(temperature, weight), atol=EXACT, rtol=0
    )


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_logits_without_hard_negatives_are_square_and_know_no_weight(temperature):
    anchors, positives, _ = triplets(2)
    logits = simcse_logits(
        *leaves(anchors, positives), temperature=temperature, hard_negative_weight=0.8
    ).detach()
    assert logits.shape == (5, 5)
    np.testing.assert_allclose(
        logits.numpy(), Reference(anchors, positives).logits(temperature, 0.0), atol=EXACT, rtol=0
    )


def test_a_weight_of_log_two_counts_the_own_hard_negative_twice():
    # Each cosine is 0, so a row's sum counts terms: 2 positives, 2 negatives, the own one again.
    anchors, others = [[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]
    loss = simcse_loss(*leaves(anchors, others, others), hard_negative_weight=float(np.log(2)))
    assert loss.item() == pytest.approx(np.log(5), abs=EXACT)


# Angles of anchors, positives, negatives; then each row's hardest column and whether it costs.
HINGE_CASES = {
    "another triplet's positive": ([0, -70], [40, 10], [120, 150], [1, 0], [True, False]),
    "the own hard negative": ([0, 90], [30, 85], [20, 200], [2, 0], [True, False]),
    "another triplet's hard negative": ([0, 90], [30, 85], [200, 20], [3, 0], [True, False]),
    "nearer than the positive, in each way": (
        [0, 90, 180],
        [30, 125, 150],
        [200, 20, 80],
        [4, 5, 3],
        [True, True, True],
    ),
    "nowhere near": ([0, 120, 240], [5, 125, 235], [60, 60, 180], [3, 3, 5], [False] * 3),
    "in a batch of one, within the margin": ([0], [40], [50], [1], [True]),
    "in a batch of one, beyond a right angle": ([0], [85], [95], [1], [True]),
    "in a batch of one, beyond the margin": ([0], [40], [60], [1], [False]),
}


@pytest.mark.parametrize("case", HINGE_CASES)
def test_the_hinge_and_its_gradients_when_the_hardest_negative_is(case):
    anchors, positives, negatives, hardest, active = HINGE_CASES[case]
    columns = (
        arrows(anchors, length=1.5),
        arrows(positives, length=0.5),
        arrows(negatives, length=2.0),
    )
    reference = Reference(*columns)
    assert (reference.hardest(), reference.active(0.2)) == (hardest, active)
    assert_equal_with_gradients(energy_hinge_loss, columns, *reference.hinge(0.2))


@pytest.mark.parametrize("margin", [0.05, 0.2, 0.3])
def test_the_hinge_and_its_gradients_equal_arithmetic_by_hand_in_six_dimensions(margin):
    columns = triplets(4, size=8, noise=0.3)
    reference = Reference(*columns)
    assert set(reference.active(margin)) == {True, False}
    assert_equal_with_gradients(
        lambda *c: energy_hinge_loss(*c, margin=margin), columns, *reference.hinge(margin)
    )


def test_a_satisfied_hinge_is_zero_and_pulls_at_nothing():
    columns = leaves([[1.0, 0.0]], [[2.0, 0.1]], [[0.0, 1.0]])
    loss = energy_hinge_loss(*columns)
    loss.backward()
    assert loss.item() == 0.0
    assert all(rows.grad.count_nonzero() == 0 for rows in columns)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_results_keep_the_number_type_of_the_vectors(dtype):
    columns = leaves(*triplets(5), dtype=dtype)
    assert simcse_logits(*columns, hard_negative_weight=0.8).dtype == dtype
    assert simcse_loss(*columns, hard_negative_weight=0.8).dtype == dtype
    assert energy_hinge_loss(*columns).dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("column", range(3))
def test_a_vector_of_zeros_has_cosine_zero_and_finite_gradients(column, dtype):
    rows = np.array(triplets(6))
    rows[column, 0] = 0.0
    columns = leaves(*rows, dtype=dtype)
    logits = simcse_logits(*columns)
    blank = logits[0] if column == 0 else logits[:, 5 * (column - 1)]
    assert blank.count_nonzero() == 0
    loss = simcse_loss(*columns, hard_negative_weight=0.8) + energy_hinge_loss(*columns)
    loss.backward()
    assert loss.isfinite()
    for leaf in columns:
        assert leaf.grad.isfinite().all()
        assert leaf.grad.count_nonzero() > 0


@pytest.mark.parametrize("size", [1, 4])
def test_nothing_but_zeros_still_gives_the_loss_of_a_blind_guess(size):
    columns = leaves(*np.zeros((3, size, 6)))
    assert simcse_loss(*columns).item() == pytest.approx(np.log(2 * size), abs=EXACT)
    assert energy_hinge_loss(*columns).item() == pytest.approx(0.2, abs=EXACT)
    (simcse_loss(*columns) + energy_hinge_loss(*columns)).backward()
    assert all(leaf.grad.isfinite().all() for leaf in columns)
