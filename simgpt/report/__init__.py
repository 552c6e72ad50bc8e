"""Read the committed results; make the tables, figures and facts that the book shows."""

from simgpt.report.annotation import yield_bars
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
from simgpt.report.results import RESULTS, Measured, headline, load_measured, load_paper
from simgpt.report.savings import (
    break_even_rows,
    cost_finding,
    cost_lines,
    llm_finding,
    load_speed,
    measured_on,
    price_rows,
    speed_bars,
    speed_finding,
    speed_rows,
    time_finding,
)
from simgpt.report.tables import markdown_table

__all__ = [
    "RESULTS",
    "Measured",
    "break_even_rows",
    "comparison_table",
    "cost_finding",
    "cost_lines",
    "figure_style",
    "headline",
    "interval_table",
    "llm_finding",
    "load_measured",
    "load_paper",
    "load_speed",
    "markdown_table",
    "measured_on",
    "price_rows",
    "score_grid",
    "score_table",
    "scored_on",
    "speed_bars",
    "speed_finding",
    "speed_rows",
    "subset_scatter",
    "time_finding",
    "training_curves",
    "yield_bars",
]
