"""A Sphinx extension: under each page's title, how long it takes to read.

Prose and tables are counted, not code, figures, equations or what docstrings say: those are looked
at rather than read. A page of which hardly anything is left, such as a bibliography, gets no time.
"""

import math
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

# A measured average for English prose is 238 (Brysbaert, 2019); this one is dense.
WORDS_A_MINUTE = 200
_NOT_READ = (
    addnodes.desc,
    nodes.comment,
    nodes.figure,
    nodes.literal_block,
    nodes.math,
    nodes.math_block,
    nodes.raw,
    nodes.substitution_definition,
)


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx calls this when a book lists the module among its extensions."""
    app.connect("doctree-read", lambda _, doctree: _tell(doctree))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def words_of(doctree: nodes.Element) -> int:
    """How many words a page has to read."""
    count = 0
    for text in doctree.findall(nodes.Text):
        above = text.parent
        while above is not None and not isinstance(above, _NOT_READ):
            above = above.parent
        count += len(text.split()) if above is None else 0
    return count


def _tell(doctree: nodes.document) -> None:
    minutes = words_of(doctree) / WORDS_A_MINUTE
    title = doctree.next_node(nodes.title)
    if minutes < 0.5 or title is None:
        return
    told = math.ceil(minutes)
    text = f"Reading time: about {told} minute{'s' if told > 1 else ''}"
    line = nodes.paragraph("", text, classes=["reading-time"])
    title.parent.insert(title.parent.index(title) + 1, line)
