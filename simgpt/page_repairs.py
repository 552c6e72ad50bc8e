"""A Sphinx extension: what the theme and its companions leave wrong on a page."""

import re
from typing import Any

from sphinx.application import Sphinx

# As sphinxcontrib-bibtex, docutils and pandas write it, and as screen readers understand it.
_MARKUP = {
    r' role="doc-biblioentry"': ' role="listitem"',
    r"<th\b([^>]*)>(?:<p></p>)?</th>": r"<td\1></td>",
}


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx calls this when a book lists the module among its extensions."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-signature", _readable)
    app.connect("html-page-context", _repair, priority=900)  # after those that add scripts
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _readable(*event: Any) -> tuple[str, str | None] | None:
    """A signature that Sphinx can read, and whose types it can therefore shorten and link."""
    signature, returns = event[-2:]
    return (signature.replace("<factory>", "..."), returns) if signature else None


def _repair(app: Sphinx, page: str, template: str, context: dict[str, Any], tree: Any) -> None:
    """Correct the markup, and leave out Thebe.

    Jupyter Book always loads Thebe, and declares its constants twice, which is an error in the
    browser's console. No page here runs code on another host.
    """
    for kind in ("script_files", "css_files"):
        context[kind] = [file for file in context[kind] if not _is_thebe(file)]
    for wrong, right in _MARKUP.items():
        context["body"] = re.sub(wrong, right, context.get("body", ""))


def _is_thebe(file: Any) -> bool:
    return "thebe" in f"{file.filename} {file.attributes.get('body', '')}".lower()
