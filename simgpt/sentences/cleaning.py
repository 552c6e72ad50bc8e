"""Tidy raw sentences without changing their words."""

import re
import unicodedata

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\u2060\ufeff]")


def clean(text: str) -> str:
    """NFC form, control and zero-width characters as spaces, runs of white space as one space."""
    return " ".join(_CONTROL.sub(" ", unicodedata.normalize("NFC", text)).split())


def duplicate_key(text: str) -> str:
    """What two sentences share that differ only in case, punctuation at the ends, or spacing."""
    return clean(text).casefold().strip(" .!?,;:\"'")
