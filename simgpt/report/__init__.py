"""Read the committed results; make the tables, figures and facts that the book shows."""

from simgpt.report.annotation import yield_bars
from simgpt.report.contamination import audited_on, change_plot, clean_table, touched_table
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
    "audited_on",
    "change_plot",
    "clean_table",
    "comparison_table",
    "figure_style",
    "headline",
    "interval_table",
    "load_measured",
    "load_paper",
    "score_grid",
    "score_table",
    "scored_on",
    "subset_scatter",
    "touched_table",
    "training_curves",
    "yield_bars",
]
