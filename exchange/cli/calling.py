"""Who calls and how it wants its answer, as one parameter of a command.

A command takes one of these first, as `by`; on the command line its fields are options, behind the
command's own. `App` sees to that, and does the same for any other parameter that is a dataclass, in
its place.
"""

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

import typer

from exchange.cli.connection import Connection, connect
from exchange.cli.options import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    EitherProfileOption,
    JsonOption,
    OperatorProfileOption,
    PartnerProfileOption,
    ReasonOption,
    ServerOption,
    either_profile,
    operator_profile,
    partner_profile,
)
from exchange.cli.output import Command
from exchange.cli.profile import Profile

_Run = TypeVar("_Run", bound=Callable[..., Any])


class _By:
    """What all of them do."""

    __slots__ = ()
    reason: str = ""
    """Why an operator acts."""

    def profile(self) -> Profile:
        """The caller's. Raises FileError, or typer.BadParameter for one of another kind."""
        raise NotImplementedError

    def connect(self) -> AbstractContextManager[Connection]:
        """A channel for the length of a block. Raises as `profile` does."""
        return connect(self.profile(), self.reason)


@dataclass(frozen=True, slots=True)
class ByPartner(_By):
    """A partner calls."""

    profile_dir: PartnerProfileOption
    server: ServerOption = None
    as_json: JsonOption = False

    def profile(self) -> Profile:
        return partner_profile(self.profile_dir, self.server)


@dataclass(frozen=True, slots=True)
class ByAnybody(_By):
    """A partner or an operator calls."""

    data_dir: DataDirOption = DEFAULT_DATA_DIR
    profile_dir: EitherProfileOption = None
    server: ServerOption = None
    as_json: JsonOption = False

    def profile(self) -> Profile:
        return either_profile(self.profile_dir, self.data_dir, self.server)


@dataclass(frozen=True, slots=True)
class BySomebodyActing(ByAnybody):
    """A partner calls, or an operator acts and says why."""

    reason: ReasonOption = ""


@dataclass(frozen=True, slots=True)
class ByOperator(_By):
    """An operator reads."""

    data_dir: DataDirOption = DEFAULT_DATA_DIR
    profile_dir: OperatorProfileOption = None
    server: ServerOption = None
    as_json: JsonOption = False

    def profile(self) -> Profile:
        return operator_profile(self.profile_dir, self.data_dir, self.server)


@dataclass(frozen=True, slots=True)
class ByActingOperator(ByOperator):
    """An operator acts, and says why."""

    reason: ReasonOption = ""


class App(typer.Typer):
    """Commands whose errors are told as `Command` tells them."""

    def command(self, name: str | None = None, **settings: Any) -> Callable[[_Run], _Run]:
        """Add a command; settings are typer's."""
        register = super().command(name, **{"cls": Command, **settings})

        def add(run: _Run) -> _Run:
            register(spread(run))
            return run

        return add


def spread(run: Callable[..., Any]) -> Callable[..., Any]:
    """The command with the fields of each parameter that is a dataclass in its place, those of `by`
    last.
    """
    hints = get_type_hints(run, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    if not groups:
        return run

    def command(**given: Any) -> Any:
        for name, group in groups.items():
            given[name] = group(**{each.name: given.pop(each.name) for each in fields(group)})
        return run(**given)

    shown: list[inspect.Parameter] = []
    for each in sorted(
        inspect.signature(run).parameters.values(), key=lambda own: own.name == "by"
    ):
        group = groups.get(each.name)
        shown += _parameters(group) if group else [_option(each, hints[each.name])]
    command.__name__, command.__doc__ = run.__name__, run.__doc__
    command.__annotations__ = {each.name: each.annotation for each in shown}
    command.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    return command


def _parameters(group: Any) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    # What a group adds to another comes before what it has of it.
    shown = sorted(
        inspect.signature(group).parameters.values(),
        key=lambda each: each.name not in group.__annotations__,
    )
    return [_option(each, hints[each.name]) for each in shown]


def _option(parameter: inspect.Parameter, hint: Any) -> inspect.Parameter:
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hint)
