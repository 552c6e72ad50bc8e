"""Commands that documents and workflows name, held against those that there are."""

import re
import shlex

from typer.main import get_command

from simgpt.cli import app
from simgpt.cli_group import DEFAULT, RunByDefault
from tests.conftest import REPOSITORY

_ENDS = {"&&", "||", "|", ";", ">", "&"}


def make_targets():
    text = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z-]+):", text, flags=re.MULTILINE))


def shell_commands(text):
    """The `make` and `simgpt` commands of a shell script, each as a list of words."""
    for line in text.replace("\\\n", " ").splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # an apostrophe in a line that is no command
            continue
        for place, word in enumerate(words):
            if word not in ("make", "simgpt", ".venv/bin/simgpt"):
                continue
            before = words[place - 1] if place else ";"
            if before in _ENDS | {"do", "then", "-m", "nice"} or before.endswith(";"):
                rest = words[place + 1 :]
                end = next((i for i, other in enumerate(rest) if other in _ENDS), len(rest))
                yield [word.removeprefix(".venv/bin/"), *rest[:end]]


def document_commands(text):
    """Those of a Markdown file: in its shell blocks, and in its text between backticks."""
    for block in re.findall(r"^```(?:bash|sh|shell)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        yield from shell_commands(block)
    for words in re.findall(r"(?<!`)`((?:make|simgpt) [^`\n]+)`(?!`)", text):
        yield from shell_commands(words)


def complaint(words):
    """What is wrong with a command, or nothing."""
    program, *rest = words
    if program == "make":
        targets = [word for word in rest if re.fullmatch("[a-z-]+", word)]
        unknown = [word for word in targets if word not in make_targets()]
        return f"make has no target {unknown[0]}" if unknown else ""
    command = get_command(app)
    while hasattr(command, "commands") and rest and rest[0] in command.commands:
        command = command.commands[rest.pop(0)]
    if isinstance(command, RunByDefault) and rest:
        command = command.commands[DEFAULT]
    if hasattr(command, "commands") and rest and not rest[0].startswith(("-", ".")):
        return f"{command.name or 'simgpt'} has no command {rest[0]}"
    known = {name for parameter in command.params for name in parameter.opts} | {"--help"}
    named = [word.split("=")[0] for word in rest if re.match("--?[a-z]", word)]
    unknown = [name for name in named if name not in known]
    return f"simgpt {command.name} has no option {unknown[0]}" if unknown else ""
