"""Commands of two words: `loadsheet train text` is the module `cli/train_text.py`."""

import argparse
import importlib
from collections.abc import Callable, Mapping, Sequence

from loadsheet.errors import ConfigError

EXTRA = "loadsheet[torch,train]"


class _Asked(argparse.ArgumentParser):
    """Loads its module when it is the one that parses: the others need not be installed."""

    module_name = ""

    def parse_known_args(  # type: ignore[override]  # argparse overloads on the namespace
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        if self.module_name:
            name, self.module_name = self.module_name, ""
            module = _load(name)
            module.add_flags(self)
            self.set_defaults(run_sub_command=module.run)
        return super().parse_known_args(args, namespace)


def add_sub_commands(
    parser: argparse.ArgumentParser, command: str, sub_commands: Mapping[str, str]
) -> None:
    """One parser per word; each module offers `add_flags(parser)` and `run(arguments)`."""
    words = parser.add_subparsers(
        dest="sub_command", required=True, metavar="WHAT", parser_class=_Asked
    )
    for word, text in sub_commands.items():
        sub = words.add_parser(word, help=text, description=text[0].upper() + text[1:] + ".")
        sub.module_name = f"loadsheet.cli.{command}_{word.replace('-', '_')}"


def _load(name: str) -> "_Module":
    try:
        return importlib.import_module(name)  # type: ignore[return-value]
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("loadsheet"):
            raise
        message = f"this command needs {error.name}: pip install '{EXTRA}'"
        raise ConfigError(message) from error


class _Module:
    """What a module of a command offers."""

    add_flags: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
