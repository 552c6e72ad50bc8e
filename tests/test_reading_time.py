"""What counts as read, and what a page is told to take."""

from docutils.core import publish_doctree

from simgpt.reading_time import setup, words_of

PAGE = """\
A title of five words
=====================

Seven words stand here, *two emphasised* ones.

.. math:: not + counted

.. code::

   neither = "is this"

.. Nor a comment.

========  ==========
counted   here
========  ==========
three     more words
========  ==========
"""


class App:
    """As much of Sphinx as an extension sees."""

    def connect(self, event, handler):
        assert event == "doctree-read"
        self.handler = handler


def read(text):
    """A page as Sphinx would hand it on, after the extension has seen it."""
    app = App()
    setup(app)
    doctree = publish_doctree(text, settings_overrides={"doctitle_xform": False})
    app.handler(app, doctree)
    return doctree


def test_prose_and_tables_are_read_and_code_and_equations_are_not():
    assert words_of(publish_doctree(PAGE)) == 5 + 7 + 2 + 3


def test_the_time_stands_below_the_title_and_is_rounded_up():
    section = read(f"Title\n=====\n\n{'word ' * 201}\n")[0]
    assert section[1].astext() == "Reading time: about 2 minutes"
    assert section[1]["classes"] == ["reading-time"]
    assert read(f"Title\n=====\n\n{'word ' * 190}\n")[0][1].astext().endswith("1 minute")


def test_a_page_with_hardly_a_word_gets_no_time():
    assert "Reading time" not in read("Title\n=====\n\nA list follows.\n").astext()
