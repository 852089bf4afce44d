"""Command-line programs whose commands, and what these run, are imported only when called."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Literal

import typer
from typer.core import TyperGroup
from typer.main import get_command

import smlm_pipeline
from smlm_pipeline.cli.json_output import print_failure

PANELS_COLUMNS_MIN = 80
"""Narrower terminals get help without panels, in which rich would cut names."""

_USAGE_ERROR: Any = typer.BadParameter.__base__
"""Click's UsageError, which Typer brings under a name of its own or imports, by its version."""


@dataclass(frozen=True)
class LazyCommand:
    """A command that the program's help lists without an import of its module.

    Attributes
    ----------
    name : str
        Name on the command line.
    target : str
        ``MODULE:NAME`` of its function, or of its own Typer app where it has commands in turn.
    help : str
        Its line in the program's help: the first paragraph of the function's docstring.
    """

    name: str
    target: str
    help: str

    def load(self) -> Any:
        """Import the target.

        Returns
        -------
        Callable or typer.Typer
            Function or app of the command.
        """
        module, name = self.target.split(":")
        return getattr(importlib.import_module(module), name)


def lazy_app(
    *commands: LazyCommand,
    program: str,
    help: str,  # noqa: A002
    epilog: str | None = None,
) -> typer.Typer:
    """Put a program together from commands that are imported only when they are called.

    Parameters
    ----------
    *commands : LazyCommand
        Its commands, in the order of the help.
    program : str
        Name of the program, which ``--version`` prints.
    help : str
        First paragraph of the help.
    epilog : str, optional
        Last paragraph of the help.

    Returns
    -------
    typer.Typer
        The program; a call of a command, or of a command's own help, imports that command alone.
    """
    by_name = {command.name: command for command in commands}

    class Group(TyperGroup):
        """Replaces the stub of a command by the command when its name is resolved."""

        def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
            name, stub, rest = super().resolve_command(ctx, args)
            command = by_name.get(name or "")
            return name, stub if command is None else _built(command.load()), rest

        def format_help(self, ctx: Any, formatter: Any) -> None:
            """Write the help, in panels where these have room."""
            self.rich_markup_mode = _markup_mode()
            super().format_help(ctx, formatter)

        def invoke(self, ctx: Any) -> Any:
            """Run the command; a wrong option becomes JSON too where JSON is asked for."""
            asked = "--json" in ctx.args
            try:
                return super().invoke(ctx)
            except _USAGE_ERROR as error:
                if asked:
                    message = error.format_message()
                    print_failure(program, "UsageError", message, error.exit_code)
                raise

    app = typer.Typer(
        cls=Group,
        help=help,
        epilog=epilog,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_with_version(program))
    for command in commands:
        app.command(command.name, help=command.help)(_nothing)
    return app


def _with_version(program: str) -> Callable[..., None]:
    """Options of the program itself: ``--version``."""

    def show_version(asked: bool) -> None:
        if asked:
            typer.echo(f"{program} {smlm_pipeline.__version__}")
            raise typer.Exit

    option = typer.Option(
        False, "--version", help="Print the version and exit.", callback=show_version, is_eager=True
    )

    def options(version: bool = option) -> None:
        """Options of the program."""

    return options


def _nothing() -> None:
    """Callback of the stubs, which are never called."""


def _markup_mode() -> Literal["rich"] | None:
    """Typer's mode of help: panels, or plain text in a narrow terminal."""
    wide = shutil.get_terminal_size().columns >= PANELS_COLUMNS_MIN
    return "rich" if wide else None


def _built(target: Any) -> Any:
    """Click's command of a function or of a Typer app."""
    if not isinstance(target, typer.Typer):
        single = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
        single.command(help=_in_paragraphs(inspect.getdoc(target) or ""))(target)
        target = single
    target.rich_markup_mode = _markup_mode()
    return get_command(target)


def _in_paragraphs(text: str) -> str:
    """Join the lines of each paragraph: the terminal has another width than the source."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


@contextlib.contextmanager
def imported_when_used() -> Iterator[None]:
    """Delay the imports of modules within the block until an attribute of a module is used.

    For the heads of command modules, whose help must not wait for TensorFlow::

        with imported_when_used():
            from smlm_training.delivery import export

    Import modules, not their names: ``from module import name`` uses the module at once.
    Packages are imported at once.
    """
    finder = _LateFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _LateFinder(MetaPathFinder):
    """Finds modules as Python does, and delays their execution."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None or spec.submodule_search_locations is not None:
            return None
        spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec
