"""A tiny BERT with the published tokenizer's rules, and the box on a page of its own."""

import shutil

from tokenizers import normalizers
from transformers import AutoTokenizer

from simgpt.tryit import write_tryit
from tests.conftest import REPOSITORY
from tests.tiny import tiny_bert

_PAGE = """<!doctype html>
<html lang="en">
<head><title>Try it</title><link rel="icon" href="data:,"></head>
<body><main>{}</main></body>
</html>
"""


def tiny_uncased(folder):
    """A tiny BERT that the page can run."""
    tiny_bert(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.backend_tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.save_pretrained(folder)
    return folder


def write_site(folder, model):
    """The box with `model` in it, laid out as in the book."""
    sources, static = REPOSITORY / "book" / "static" / "tryit", folder / "_static" / "tryit"
    shutil.copytree(sources, static)
    write_tryit(model, static)
    (folder / "book").mkdir()
    box = (sources / "box.html").read_text(encoding="utf-8")
    (folder / "book" / "tryit.html").write_text(_PAGE.format(box), encoding="utf-8")
    return folder
