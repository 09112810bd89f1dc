"""Commands that are imported when they are asked for.

To import all of them, and to read every parameter of each, takes longer than most of them run: only
the help of the whole program needs that.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from exchange.cli.calling import App

Fill = Callable[["App"], object]
"""Adds commands to an app."""


def from_module(name: str, place: str) -> Fill:
    """Adds what stands at `<module of exchange.cli>:<attribute>` under a name: of what makes an app
    (`…_app`) a group, of what takes one (`add_…`) all that it adds, of anything else a command.
    """

    def fill(app: "App") -> None:
        module, _, attribute = place.partition(":")
        found = getattr(import_module(f"exchange.cli.{module}"), attribute)
        if attribute.endswith("_app"):
            app.add_typer(found(), name=name)
        elif attribute.startswith("add_"):
            found(app)
        else:
            app.command(name)(found)

    return fill


def lazy_app(fills: Mapping[str, Fill], **settings: Any) -> typer.Typer:
    """An app of these commands and groups, by name and in this order; settings are typer's."""

    class Commands(TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            return list(fills)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            fill = fills.get(cmd_name)
            return _filled(fill, settings).commands[cmd_name] if fill else None

    app = typer.Typer(cls=Commands, **settings)
    # An app without any command of its own needs something that makes it a group.
    app.callback()(_nothing)
    return app


def _filled(fill: Fill, settings: Mapping[str, Any]) -> TyperGroup:
    from exchange.cli.calling import App

    app = App(rich_markup_mode=settings.get("rich_markup_mode"), add_completion=False)
    fill(app)
    return typer.main.get_group(app)


def _nothing() -> None:
    """What is done before every command."""
