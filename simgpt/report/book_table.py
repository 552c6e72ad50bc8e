"""Tables of the book: as HTML that reads as it is, with LaTeX and CSV to copy.

`book/static/tables.js` makes their columns sortable; rows open without it.
"""

import csv
import html
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from simgpt.report.formats import latex_table


@dataclass(frozen=True)
class BookCell:
    """What stands in a cell, and below it an interval as `80.12 to 82.91`, if any."""

    text: str
    interval: str = ""


@dataclass(frozen=True)
class BookRow:
    """A row, its first cell the label.

    Attributes:
        label: What the row is of.
        cells: As many as the header has names besides the label's.
        details: What opens below the row, as HTML; nothing of the paper's rows.
        published: The paper's, not ours.
    """

    label: str
    cells: Sequence[BookCell]
    details: str = ""
    published: bool = False


@dataclass(frozen=True)
class BookTable:
    """A table of the book.

    Attributes:
        caption: What the numbers are, without a full stop.
        header: Names of the columns, the label's first.
        rows: In the order in which they stand before anyone sorts them.
        notes: Sentences to be printed below.
    """

    caption: str
    header: Sequence[str]
    rows: Sequence[BookRow]
    notes: Sequence[str] = field(default=())

    @property
    def mixed(self) -> bool:
        """Whether the paper's numbers stand beside ours; then each row says whose it is."""
        return len({row.published for row in self.rows}) > 1


def text_table(caption: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> BookTable:
    """A table of plain text whose rows do not open."""
    return BookTable(
        caption, header, [BookRow(label, [*map(BookCell, cells)]) for label, *cells in rows]
    )


def fragment(table: BookTable) -> str:
    """The table as MyST that a page includes."""
    return (
        f"````{{raw}} html\n{to_html(table)}````\n\n"
        ":::{dropdown} Copy this table as LaTeX or CSV\n"
        f":class-container: table-copies\n\n```latex\n{to_latex(table)}```\n\n"
        f"```text\n{to_csv(table)}```\n:::\n"
    )


def to_html(table: BookTable) -> str:
    """The table in a box that scrolls sideways; each row has a `<tbody>`, its details included."""
    caption = html.escape(table.caption)
    heads = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in table.header)
    lines = [
        f'<div class="results-table" role="region" aria-label="{caption}" tabindex="0">',
        f'<table class="table sortable"><caption>{caption}</caption>',
        f"<thead><tr>{heads}</tr></thead>",
        *(_html_row(row, len(table.header), told=table.mixed) for row in table.rows),
        "</table>",
        "</div>",
        *(f'<p class="table-note">{html.escape(note)}</p>' for note in table.notes),
    ]
    return "\n".join([*lines, ""])


def to_latex(table: BookTable) -> str:
    """The table for a paper; it wants booktabs."""
    rows = [
        (
            [_told(row, table.mixed), *(cell.text for cell in row.cells)],
            ["", *(cell.interval for cell in row.cells)],
        )
        for row in table.rows
    ]
    return latex_table(table.caption, table.header, rows, table.notes)


def to_csv(table: BookTable) -> str:
    """A line for each row; deviations and the ends of intervals have columns of their own."""
    columns = [_csv_column(name, cells) for name, cells in _columns(table)]
    header = [table.header[0], *(["source"] if table.mixed else [])]
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([*header, *chain.from_iterable(names for names, _ in columns)])
    for number, row in enumerate(table.rows):
        line = [row.label, *([_source(row)] if table.mixed else [])]
        writer.writerow([*line, *chain.from_iterable(values[number] for _, values in columns)])
    return written.getvalue()


def _columns(table: BookTable) -> Iterator[tuple[str, list[BookCell]]]:
    for number, name in enumerate(table.header[1:]):
        yield name, [row.cells[number] for row in table.rows]


def _csv_column(name: str, cells: Sequence[BookCell]) -> tuple[list[str], list[list[str]]]:
    """The names of the columns that one becomes, and each row's values in them."""
    split = [
        (*cell.text.partition(" ± ")[::2], *cell.interval.partition(" to ")[::2]) for cell in cells
    ]
    names = (name, f"{name} deviation", f"{name} low", f"{name} high")
    kept = [n for n in range(len(names)) if n == 0 or any(values[n] for values in split)]
    return [names[n] for n in kept], [[values[n] for n in kept] for values in split]


def _source(row: BookRow) -> str:
    return "paper" if row.published else "measured here"


def _told(row: BookRow, mixed: bool) -> str:
    return f"{_source(row)}: {row.label}" if mixed else row.label


def _html_row(row: BookRow, width: int, *, told: bool) -> str:
    label = html.escape(row.label)
    if told:
        kind = "paper" if row.published else "ours"
        label = f'<span class="origin origin-{kind}">{_source(row)}</span> {label}'
    cells = "".join(f"<td>{_html_cell(cell)}</td>" for cell in row.cells)
    line = f'<tr><th scope="row">{label}</th>{cells}</tr>'
    if row.details:
        line += f'\n<tr class="row-details"><td colspan="{width}">{row.details}</td></tr>'
    return f"<tbody>{line}</tbody>"


def _html_cell(cell: BookCell) -> str:
    # Broken, if at all, before the higher end.
    interval = cell.interval.replace(" to ", "&nbsp;to ")
    told = f' <small class="interval">({interval})</small>' if interval else ""
    return f"{html.escape(cell.text)}{told}"
