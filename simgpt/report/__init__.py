"""Read the committed results; make the tables, figures and facts that the book shows."""

from simgpt.report.annotation import yield_bars
from simgpt.report.diagnostic_plots import (
    aggregation_table,
    agreement_plot,
    baseline_plot,
    bin_plot,
    calibration_plot,
    error_table,
    geometry_table,
)
from simgpt.report.figures import figure_style
from simgpt.report.inline import (
    comparison_table,
    interval_table,
    score_grid,
    score_table,
    scored_on,
    subset_scatter,
    training_curves,
)
from simgpt.report.results import Measured, headline, load_measured, load_paper

__all__ = [
    "Measured",
    "aggregation_table",
    "agreement_plot",
    "baseline_plot",
    "bin_plot",
    "calibration_plot",
    "comparison_table",
    "error_table",
    "figure_style",
    "geometry_table",
    "headline",
    "interval_table",
    "load_measured",
    "load_paper",
    "score_grid",
    "score_table",
    "scored_on",
    "subset_scatter",
    "training_curves",
    "yield_bars",
]
