"""Command groups whose name alone is a command, too."""

from typing import Any

from typer.core import TyperGroup

DEFAULT = "run"


class RunByDefault(TyperGroup):
    """`simgpt GROUP WORDS ...` is short for `simgpt GROUP run WORDS ...`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the default command in front of what names no other."""
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [DEFAULT, *args]
        return super().parse_args(ctx, args)
