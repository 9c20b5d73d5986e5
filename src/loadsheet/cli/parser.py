"""argparse with our manners: one clear line for bad input, the nearest valid word, exit code 2."""

import argparse
import difflib
import sys
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """Says what was wrong in one line, with the nearest flag, instead of the whole usage."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"{self.prog}: {message}{self._hint(message)}\n")
        sys.stderr.write(f"Try `{self.prog} --help`.\n")
        raise SystemExit(2)

    def _hint(self, message: str) -> str:
        words = [word.strip("'\"(),").split("=")[0] for word in message.split()]
        known = [flag for action in self._actions for flag in action.option_strings]
        for word in words:
            if word.startswith("--") and word not in known:
                near = difflib.get_close_matches(word, known, n=1)
                return f"; did you mean {near[0]}?" if near else ""
        return ""
