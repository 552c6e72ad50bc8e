"""Tidy raw sentences without changing their words."""

import hashlib
import re
import unicodedata

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\u2060\ufeff]")


def clean(text: str) -> str:
    """NFC form, control and zero-width characters as spaces, runs of white space as one space."""
    return " ".join(_CONTROL.sub(" ", unicodedata.normalize("NFC", text)).split())


def duplicate_key(sentence: str) -> int:
    """What two cleaned sentences share that differ only in case or punctuation at the ends.

    A hash of 64 bits, which keeps millions apart: a set of these stays small where one of sentences
    would not.
    """
    core = sentence.casefold().strip(" .!?,;:\"'")
    # JSON can spell half of a surrogate pair, which is no UTF-8.
    digest = hashlib.blake2b(core.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest)
