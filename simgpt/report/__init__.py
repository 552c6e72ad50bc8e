"""Read the committed results; make the tables, figures and facts that the book shows."""

from simgpt.report.annotation import yield_bars
from simgpt.report.contamination import (
    audited_on,
    audits_table,
    change_plot,
    clean_table,
    load_audits,
    touched_table,
)
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
from simgpt.report.markdown import markdown_table
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
from simgpt.report.study import load_study_results
from simgpt.report.study_pages import study_finding
from simgpt.report.study_plots import difference_plot
from simgpt.report.study_text import rows_table

__all__ = [
    "RESULTS",
    "Measured",
    "aggregation_table",
    "agreement_plot",
    "audited_on",
    "audits_table",
    "baseline_plot",
    "bin_plot",
    "break_even_rows",
    "calibration_plot",
    "change_plot",
    "clean_table",
    "comparison_table",
    "cost_finding",
    "cost_lines",
    "difference_plot",
    "error_table",
    "figure_style",
    "geometry_table",
    "headline",
    "interval_table",
    "llm_finding",
    "load_audits",
    "load_measured",
    "load_paper",
    "load_speed",
    "load_study_results",
    "markdown_table",
    "measured_on",
    "price_rows",
    "rows_table",
    "score_grid",
    "score_table",
    "scored_on",
    "speed_bars",
    "speed_finding",
    "speed_rows",
    "study_finding",
    "subset_scatter",
    "time_finding",
    "touched_table",
    "training_curves",
    "yield_bars",
]
