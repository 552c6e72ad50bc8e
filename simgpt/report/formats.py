"""A table of results as Markdown, LaTeX, CSV or HTML."""

import csv
import html
import io
import re
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

from simgpt.report.markdown import markdown_table
from simgpt.report.table import Cell, Row, Table


class Format(StrEnum):
    """What a table can be written as."""

    MARKDOWN = "markdown"
    LATEX = "latex"  # wants booktabs
    CSV = "csv"  # a line for each score
    HTML = "html"  # a <table>, to be put into a page


LONG_LABEL = 30  # characters that LaTeX may set in one line

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "|": r"\textbar\allowbreak{}",  # signatures have no spaces to break a line at
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "†": r"\textsuperscript{\dag}",
    "‡": r"\textsuperscript{\ddag}",
    "§": r"\textsuperscript{\S}",
    "¶": r"\textsuperscript{\P}",
} | {character: f"\\{character}" for character in "_&%#$"}


def render(table: Table, form: Format) -> str:
    """The table as text, with all that must be said of it."""
    renderers: dict[Format, Callable[[Table], str]] = {
        Format.MARKDOWN: _markdown,
        Format.LATEX: _latex,
        Format.CSV: _csv,
        Format.HTML: _html,
    }
    return renderers[form](table)


def _markdown(table: Table) -> str:
    def cell(one: Cell) -> str:
        return f"{one.text}{one.marks}" + (f" ({one.interval})" if one.interval else "")

    rows = [
        [_plain_markdown(row.label).replace("|", r"\|"), *map(cell, row.cells)]
        for row in table.rows
    ]
    notes = "".join(f"\n{_plain_markdown(note)}\n" for note in table.notes)
    body = markdown_table(["model", *table.columns], rows)
    return f"{_plain_markdown(table.caption)}:\n\n{body}{notes}"


def _plain_markdown(text: str) -> str:
    return re.sub(r"([\\`*_<\[\]])", r"\\\1", text)


def _latex(table: Table) -> str:
    rows = [
        (
            [row.label, *(f"{one.text}{one.marks}" for one in row.cells)],
            ["", *(one.interval for one in row.cells)],
        )
        for row in table.rows
    ]
    return latex_table(table.caption, ["model", *table.columns], rows, table.notes)


def latex_table(
    caption: str,
    header: Sequence[str],
    rows: Iterable[tuple[Sequence[str], Sequence[str]]],
    notes: Iterable[str],
) -> str:
    """A table of any text.

    Args:
        caption: Without its full stop.
        header: The first column is left-aligned, long labels in lines; the others right-aligned.
        rows: Of each row the cells, and the intervals that stand in a line below them; an empty
            text where there is none.
        notes: Sentences to be printed below.
    """
    rows = list(rows)
    labels = "p{11em}" if any(len(cells[0]) > LONG_LABEL for cells, _ in rows) else "l"
    lines = [
        r"% needs \usepackage{booktabs}; where two columns make it too wide: table*",
        r"\begin{table}",
        rf"\caption{{{_plain_latex(caption)}.}}",
        r"\centering\small\setlength{\tabcolsep}{3pt}",
        rf"\begin{{tabular}}{{{labels}{'r' * (len(header) - 1)}}}",
        r"\toprule",
        _latex_row(header),
        r"\midrule",
    ]
    for cells, intervals in rows:
        lines.append(_latex_row(cells))
        if any(intervals):
            told = (rf"{{\tiny ({one})}}" if one else "" for one in intervals)
            lines.append(rf"{' & '.join(told)} \\")
    lines += [r"\bottomrule", r"\end{tabular}", ""]
    lines += [rf"{{\footnotesize\raggedright {_plain_latex(note)}\par}}" for note in notes]
    return "\n".join([*lines, r"\end{table}", ""])


def _latex_row(cells: Iterable[str]) -> str:
    return rf"{' & '.join(map(_plain_latex, cells))} \\"


def _plain_latex(text: str) -> str:
    escaped = "".join(_LATEX.get(character, character) for character in text)
    return re.sub("-(?=-)", "-{}", escaped)  # two hyphens of a file's name are no dash


def _csv(table: Table) -> str:
    header = ["model", "source", "runs", "task", "score", "low", "high", "deviation", "signature"]
    # Most tables have one baseline; its columns are there in any case.
    for number in range(1, max(1, len(table.baselines)) + 1):
        header += [f"{name}{number if number > 1 else ''}" for name in ("p_holm", "baseline")]
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(header)
    for row in table.rows:
        for task, cell in zip(table.columns, row.cells, strict=True):
            writer.writerow(_csv_line(table, row, task, cell))
    return written.getvalue()


def _csv_line(table: Table, row: Row, task: str, cell: Cell) -> list[str]:
    numbers = (cell.score, cell.low, cell.high, cell.deviation)
    line = [
        row.label,
        "paper" if row.published else "measured",
        "" if row.published else str(row.runs),
        task,
        *("" if number is None else f"{number:.2f}" for number in numbers),
        cell.signature,
    ]
    for mark, label in table.baselines.items():
        line += [f"{cell.p[mark]:.4f}", label] if mark in cell.p else ["", ""]
    return line + [""] * (2 if not table.baselines else 0)


def _html(table: Table) -> str:
    heads = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in table.columns)
    lines = [
        "<table>",
        f"<caption>{html.escape(table.caption)}</caption>",
        f'<thead><tr><th scope="col">model</th>{heads}</tr></thead>',
        "<tbody>",
    ]
    for row in table.rows:
        cells = "".join(f"<td>{_html_cell(cell)}</td>" for cell in row.cells)
        lines.append(f'<tr><th scope="row">{html.escape(row.label)}</th>{cells}</tr>')
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in table.notes)
    lines += [
        "</tbody>",
        f'<tfoot><tr><td colspan="{len(table.columns) + 1}">{notes}</td></tr></tfoot>',
        "</table>",
        "",
    ]
    # It may be put into a page of any encoding.
    return "\n".join(lines).encode("ascii", "xmlcharrefreplace").decode()


def _html_cell(cell: Cell) -> str:
    marks = f"<sup>{cell.marks}</sup>" if cell.marks else ""
    interval = f" <small>({cell.interval})</small>" if cell.interval else ""
    return f"{cell.text}{marks}{interval}"
