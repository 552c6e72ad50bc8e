"""Weights in 8 bits."""

import numpy as np
import pytest

from simgpt import SimgptError
from simgpt.tryit.weights import quantise, read_weights, write_weights


def test_a_group_is_rounded_to_steps_of_its_largest_number():
    steps, scales = quantise(np.array([[1.0, -0.25, 0.1, 0.0]], dtype=np.float32))
    assert steps.tolist() == [[127, -32, 13, 0]]  # -31.75, 12.7
    assert scales == pytest.approx([1 / 127])


def test_an_outlier_makes_only_its_own_group_coarse():
    matrix = np.full((1, 128), 0.01, dtype=np.float32)
    matrix[0, 0] = 10
    steps, scales = quantise(matrix)
    assert steps.shape == (2, 64)
    assert steps[0, 1:].tolist() == [0] * 63
    assert steps[1].tolist() == [127] * 64
    assert scales == pytest.approx([10 / 127, 0.01 / 127])


def test_zeros_stay_zeros():
    steps, scales = quantise(np.zeros((2, 64), dtype=np.float32))
    assert not steps.any()
    assert not scales.any()


def test_what_is_written_comes_back_within_half_a_step_and_vectors_as_they_were(tmp_path):
    draw = np.random.default_rng(0)
    weights = {
        "odd": draw.normal(size=(3, 5)).astype(np.float32),  # the next must still be aligned
        "vector": draw.normal(size=7).astype(np.float32),
        "wide": draw.normal(size=(6, 192)).astype(np.float32),
    }
    table = write_weights(tmp_path / "w.bin", weights)
    assert table["wide"]["group"] == 64
    assert all(entry["offset"] % 4 == 0 for entry in table.values())
    back = read_weights(tmp_path / "w.bin", table)
    assert back["vector"].tolist() == weights["vector"].tolist()
    for name in ("odd", "wide"):
        step = np.abs(weights[name]).max() / 127
        assert np.abs(back[name] - weights[name]).max() <= step / 2 * 1.0001


def test_a_file_that_was_cut_short_is_named(tmp_path):
    path = tmp_path / "w.bin"
    table = write_weights(path, {"vector": np.ones(8, dtype=np.float32)})
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(SimgptError, match=r"w\.bin: cut short"):
        read_weights(path, table)
