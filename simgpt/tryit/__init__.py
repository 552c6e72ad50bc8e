"""The encoder that the book runs in a reader's browser: checked, rounded to 8 bits and written.

The program that runs it is JavaScript, in `book/static/tryit/`.
"""

from simgpt.tryit.assets import ENVIRONMENT_VARIABLE, write_tryit

__all__ = ["ENVIRONMENT_VARIABLE", "write_tryit"]
