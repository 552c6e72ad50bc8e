"""The power law through scores by size."""

import numpy as np
import pytest

from simgpt.report.learning_curve import PowerLaw, fit_power_law, hold_out

SIZES = [250, 500, 1000, 2000, 4000, 8000, 17385]


def test_a_power_law_is_found_again_in_its_own_points():
    law = PowerLaw(ceiling=82.5, scale=12.0, exponent=0.3)
    found = fit_power_law(SIZES, law(SIZES))
    assert found.ceiling == pytest.approx(82.5, abs=1e-4)
    assert found.scale == pytest.approx(12.0, abs=1e-4)
    assert found.exponent == pytest.approx(0.3, abs=1e-5)


def test_the_largest_size_is_predicted_from_the_others_alone():
    law = PowerLaw(82.5, 12.0, 0.3)
    scores = [*law(SIZES[:-1]), 90.0, 91.0]
    held = hold_out([*SIZES, SIZES[-1]], scores)
    assert held.count == 17385
    assert held.predicted == pytest.approx(float(law(17385)), abs=1e-4)
    assert held.measured == 90.5
    assert held.error == pytest.approx(held.predicted - 90.5)


def test_three_sizes_make_no_curve_and_four_no_prediction():
    assert fit_power_law([1, 2, 3, 3], [1.0, 2.0, 3.0, 3.0]) is None
    assert fit_power_law([1, 2, 3, 4], [1.0, 2.0, 2.5, 2.7]) is not None
    assert hold_out([1, 2, 3, 4], [1.0, 2.0, 2.5, 2.7]) is None


@pytest.mark.parametrize(
    "scores",
    [np.full(7, 80.0), 90 - np.log(SIZES), np.linspace(80, 81, 7), 99.9 + np.arange(7) / 1000],
)
def test_points_of_any_form_give_a_curve_below_a_hundred(scores):
    law = fit_power_law(SIZES, scores)
    assert 0 <= law.ceiling <= 100
    assert np.all(np.isfinite(law([250, 100_000])))
