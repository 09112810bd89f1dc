"""Who calls and how it wants its answer, as one parameter of a command.

A command takes one of these first, as `by`; on the command line its fields are options, behind the
command's own. `App` sees to that.
"""

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import MISSING, dataclass, fields
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


@dataclass(frozen=True, slots=True)
class ByPartner:
    """A partner calls."""

    profile_dir: PartnerProfileOption
    server: ServerOption = None
    as_json: JsonOption = False

    def profile(self) -> Profile:
        """The partner's. Raises FileError, or typer.BadParameter for an operator's."""
        return partner_profile(self.profile_dir, self.server)

    def connect(self) -> AbstractContextManager[Connection]:
        """A channel for the length of a block. Raises as `profile` does."""
        return connect(self.profile())


@dataclass(frozen=True, slots=True)
class ByAnybody:
    """A partner or an operator calls."""

    data_dir: DataDirOption = DEFAULT_DATA_DIR
    profile_dir: EitherProfileOption = None
    server: ServerOption = None
    as_json: JsonOption = False

    def profile(self) -> Profile:
        """The caller's. Raises FileError."""
        return either_profile(self.profile_dir, self.data_dir, self.server)

    def connect(self) -> AbstractContextManager[Connection]:
        """A channel for the length of a block. Raises FileError."""
        return connect(self.profile())


@dataclass(frozen=True, slots=True)
class ByOperator:
    """An operator reads."""

    data_dir: DataDirOption = DEFAULT_DATA_DIR
    profile_dir: OperatorProfileOption = None
    server: ServerOption = None
    as_json: JsonOption = False

    def profile(self) -> Profile:
        """The operator's. Raises FileError, or typer.BadParameter for a partner's."""
        return operator_profile(self.profile_dir, self.data_dir, self.server)

    def connect(self) -> AbstractContextManager[Connection]:
        """A channel for the length of a block. Raises as `profile` does."""
        return connect(self.profile())


@dataclass(frozen=True, slots=True)
class BySomebodyActing:
    """A partner calls, or an operator acts and says why."""

    reason: ReasonOption = ""
    data_dir: DataDirOption = DEFAULT_DATA_DIR
    profile_dir: EitherProfileOption = None
    server: ServerOption = None
    as_json: JsonOption = False

    def profile(self) -> Profile:
        """The caller's. Raises FileError."""
        return either_profile(self.profile_dir, self.data_dir, self.server)

    def connect(self) -> AbstractContextManager[Connection]:
        """A channel for the length of a block. Raises FileError."""
        return connect(self.profile(), self.reason)


@dataclass(frozen=True, slots=True)
class ByActingOperator:
    """An operator acts, and says why."""

    reason: ReasonOption = ""
    data_dir: DataDirOption = DEFAULT_DATA_DIR
    profile_dir: OperatorProfileOption = None
    server: ServerOption = None
    as_json: JsonOption = False

    def profile(self) -> Profile:
        """The operator's. Raises FileError, or typer.BadParameter for a partner's."""
        return operator_profile(self.profile_dir, self.data_dir, self.server)

    def connect(self) -> AbstractContextManager[Connection]:
        """A channel for the length of a block. Raises as `profile` does."""
        return connect(self.profile(), self.reason)


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
    """The command with the fields of `by`, where it has that parameter, in its place and last."""
    hints = get_type_hints(run, include_extras=True)
    by: Any = hints.get("by")
    if by is None:
        return run
    own = [each for each in inspect.signature(run).parameters.values() if each.name != "by"]
    of_caller = {each.name: each for each in fields(by)}
    by_hints = get_type_hints(by, include_extras=True)

    def command(**given: Any) -> Any:
        caller = by(**{name: given.pop(name) for name in of_caller})
        return run(caller, **given)

    last = [
        inspect.Parameter(
            each.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if each.default is MISSING else each.default,
            annotation=by_hints[each.name],
        )
        for each in of_caller.values()
    ]
    first = [
        each.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[each.name])
        for each in own
    ]
    command.__name__, command.__doc__ = run.__name__, run.__doc__
    command.__annotations__ = {each.name: each.annotation for each in (*first, *last)}
    command.__signature__ = inspect.Signature([*first, *last])  # type: ignore[attr-defined]
    return command
