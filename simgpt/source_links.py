"""A Sphinx extension: {source}`book/results/headline` is a link to that place in the repository.

Where the book is built from a checkout that is published nowhere, it is the path alone.
"""

from typing import Any

from docutils import nodes
from docutils.parsers.rst.states import Inliner
from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx calls this when a book lists the module among its extensions."""
    app.add_role("source", _source)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _source(
    name: str, rawtext: str, path: str, line: int, inliner: Inliner, *_: Any
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    options = inliner.document.settings.env.config.html_theme_options
    shown = nodes.literal(rawtext, path)
    if not options.get("use_repository_button"):  # the address is then Jupyter Book's own
        return [shown], []
    address = f"{options['repository_url']}/blob/{options['repository_branch']}/{path}"
    return [nodes.reference(rawtext, "", shown, refuri=address)], []
