"""What the book includes: tables, figures and facts, made from the results at each build."""

from collections.abc import Callable
from pathlib import Path

from simgpt.files import write_text
from simgpt.report import (
    annotation,
    architecture,
    figures,
    protocol,
    published,
    savings,
    scoring,
    tables,
    training,
)
from simgpt.report.book_table import fragment
from simgpt.report.results import headline, load_measured, load_paper
from simgpt.report.study_pages import study_pages


def write_generated_pages(results: Path, output: Path) -> dict[str, str]:
    """Write Markdown fragments and figures into `output`; return the facts for substitutions."""
    result, paper = headline(results), load_paper(results)
    tuning = load_measured(results / "selection")
    yields, scale = annotation.load_yields(results), annotation.load_scale(results)
    promcse, again = load_measured(results / "promcse"), load_measured(results / "rerun")
    costs = training.load_training_benchmarks(results)
    timed = scoring.load_scoring(results)
    sizes, raw = protocol.load_sizes(results), protocol.load_raw(results)
    told = published.load_published(results)
    drawings = [
        figures.draw_idea(output),
        architecture.draw_architecture(output),
        published.draw_labels(output, told, result, sizes),
        figures.draw_headline(output, result, paper, tables.further_rows(result)),
        figures.draw_gains(output, result),
        figures.draw_selection(output, tuning),
        annotation.draw_yields(output, yields),
        training.draw_objectives(output, result, promcse),
        scoring.draw_scoring(output, timed),
    ]
    if speeds := savings.load_speed(results):
        drawings += savings.draw_savings(output, next(iter(speeds.values())))
    studied, fragments, findings = study_pages(results, output, again)
    drawings += studied
    fragments |= {drawing.name: figure_block(drawing) for drawing in drawings}
    fragments |= {
        name: fragment(table)
        for name, table in {
            "headline-table": tables.headline_table(result, paper, told["source"], again),
            "seeds-table": tables.seeds_table(result, again),
            "selection-table": tables.selection_table(tuning),
            "yields-table": annotation.yields_table(yields),
            "scale-table": annotation.scale_table(scale),
            "objectives-table": training.objectives_table(result, promcse, again),
            "scoring-table": scoring.scoring_table(timed),
            "estimate-table": training.estimate_table(costs["train_estimate"]),
            "benchmarks-table": protocol.benchmarks_table(sizes),
            "subsets-table": protocol.subsets_table(sizes, result.untouched),
            "aggregations-table": protocol.aggregations_table(result.untouched),
            "forms-table": protocol.forms_table(result.untouched, raw),
            "gains-table": published.gains_table(paper),
        }.items()
    }
    fragments["settings-table"] = published.settings_table()
    fragments["elsewhere-table"] = published.elsewhere_table(told)
    for name, text in fragments.items():
        _write_if_changed(output / f"{name}.txt", text, write_text)
    reading = annotation.load_reading(results)
    return (
        tables.facts(result)
        | tables.rerun_facts(result, again)
        | annotation.annotation_facts(yields, scale, reading)
        | training.training_facts(result, promcse, costs)
        | scoring.scoring_facts(timed)
        | protocol.protocol_facts(sizes, result.untouched, raw)
        | published.published_facts(told, result)
        | findings
    )


def figure_block(drawing: figures.Drawing) -> str:
    """A MyST figure for light and for dark pages; paths are relative to `book/`."""
    *data, code = (f"{{source}}`{path}`" for path in drawing.origin)
    origin = f"Data: {', '.join(data)}; code: {code}." if data else f"Code: {code}."
    blocks = [
        f"```{{figure}} generated/{drawing.name}-{mode}.svg\n"
        f":class: only-{mode}\n:alt: {drawing.alt}\n\n{drawing.caption} {origin}\n```\n"
        for mode in ("light", "dark")
    ]
    return "\n".join(blocks)


def _write_if_changed(path: Path, text: str, write: Callable[[Path, str], None]) -> None:
    """Keep an unchanged file's time stamp: Sphinx rebuilds what is newer."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write(path, text)
