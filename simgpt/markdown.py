"""Rows as Markdown tables, for cards that the package writes."""

from typing import Any

Row = dict[str, Any]


def markdown_table(rows: list[Row]) -> str:
    """Rows as a Markdown table; whole numbers as they are, others with one decimal.

    The first row names the columns; there must be one.
    """

    def cell(value: Any) -> str:
        if isinstance(value, float):
            return f"{value:,.1f}"
        return f"{value:,}" if isinstance(value, int) else str(value).replace("|", r"\|")

    columns = list(rows[0])
    numeric = [isinstance(value, int | float) for value in rows[0].values()]
    lines = [columns, ["---:" if right else "---" for right in numeric]]
    lines += [[cell(row[column]) for column in columns] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
