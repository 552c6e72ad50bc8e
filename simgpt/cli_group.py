"""What commands take beyond the usual: a group's default command, papermill's way of settings."""

from typing import Any

from typer.core import TyperCommand, TyperGroup

DEFAULT = "run"


class RunByDefault(TyperGroup):
    """`simgpt GROUP WORDS ...` is short for `simgpt GROUP run WORDS ...`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command in front of what names no other."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)


class PapermillParameters(TyperCommand):
    """A command whose `-p NAME VALUE`, as papermill has it, is short for `--set NAME=VALUE`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Join each name and its value."""
        rest, joined = list(args), []
        while rest:
            joined.append(rest.pop(0))
            if joined[-1] == "-p" and len(rest) > 1 and "=" not in rest[0]:
                rest[:2] = [f"{rest[0]}={rest[1]}"]
        return super().parse_args(ctx, joined)
