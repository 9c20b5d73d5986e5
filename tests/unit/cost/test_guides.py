"""Every figure in the cost guides is what its command prints today."""

import re
import shlex
from pathlib import Path

import pytest

from loadsheet.cli import compare, explain
from loadsheet.cli.parser import Parser

GUIDE = Path(__file__).parents[3] / "docs/guide"
PAGES = [
    "flash-attention",
    "latent-vs-pixel",
    "memory",
    "roofline",
    "transformers-vs-recurrence",
]
COMMANDS = {"explain": explain, "compare": compare}
PAIR = re.compile(r"```sh\n(.*?)```\n```text\n(.*?)```", re.S)


def blocks() -> list:
    return [
        pytest.param(match.group(1), match.group(2), id=f"{page}-{index}")
        for page in PAGES
        for index, match in enumerate(PAIR.finditer((GUIDE / f"{page}.md").read_text("utf-8")))
    ]


def run(line: str) -> None:
    program, name, *words = shlex.split(line)
    assert program == "loadsheet"
    parser = Parser(prog=name)
    COMMANDS[name].add_flags(parser)
    assert COMMANDS[name].run(parser.parse_args(words)) == 0


@pytest.mark.parametrize(("commands", "output"), blocks())
def test_block_prints_what_the_page_shows(commands, output, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for line in commands.splitlines():
        run(line)
    assert capsys.readouterr().out == output
    for picture in tmp_path.glob("*.svg"):
        stored = GUIDE / "img" / picture.name
        assert picture.read_text("utf-8") == stored.read_text("utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_every_page_computes_its_figures(page):
    text = (GUIDE / f"{page}.md").read_text("utf-8")
    assert PAIR.search(text)
    for picture in re.findall(r"\]\((img/.*?)\)", text):
        assert (GUIDE / picture).exists()
