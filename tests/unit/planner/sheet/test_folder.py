"""The plan folder: its files, and that they say what the plan says."""

import hashlib
import re
import subprocess
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from loadsheet.errors import ConfigError
from loadsheet.planner.plan_json import read_plan
from loadsheet.planner.sheet.folder import Sources, write_plan_folder
from loadsheet.planner.sheet.signature import sign

SOURCES = Sources(workload='name = "w"\n', cluster='name = "c"\n')


@pytest.fixture
def folder(tmp_path, sheet, problem):
    write_plan_folder(tmp_path / "plan", sheet, problem, SOURCES)
    return tmp_path / "plan"


def test_every_file_has_its_name(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "bench.sh",
        "cluster.toml",
        "k8s.yaml",
        "plan.html",
        "plan.json",
        "plan.md",
        "prometheus-alerts.yaml",
        "run.sh",
        "workload.toml",
    ]


def test_the_plan_comes_back(folder, plan):
    assert read_plan(folder) == plan


def test_scripts_are_valid_shell(folder):
    for path in folder.glob("*.sh"):
        subprocess.run(["sh", "-n", path], check=True)
        assert path.stat().st_mode & 0o111


def test_run_sh_names_a_group_of_the_plan(folder, plan):
    assert f"group={plan.groups[0].replicas.name}" in (folder / "run.sh").read_text()


def test_files_of_an_earlier_plan_are_removed(folder, sheet, problem):
    (folder / "run_vllm.sh").write_text("old")
    write_plan_folder(folder, sheet, problem, Sources())
    names = {path.name for path in folder.iterdir()}
    assert not names & {"run_vllm.sh", "bench.sh", "workload.toml"}


def test_a_folder_that_cannot_be_made_is_named(tmp_path, sheet, problem):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="file"):
        write_plan_folder(tmp_path / "file", sheet, problem, SOURCES)


def test_the_signature_is_the_digest_of_the_file(plan_text):
    signed = sign(plan_text, "me", datetime(2026, 11, 23, 12, 0, tzinfo=UTC))
    assert signed.plan_digest == hashlib.sha256(plan_text.encode()).hexdigest()
    assert signed.when == "2026-11-23 12:00 UTC"


class Outside(HTMLParser):
    """Collects whatever a page would fetch, and its unclosed tags."""

    def __init__(self):
        super().__init__()
        self.found, self.open = [], []

    def handle_starttag(self, tag, attrs):
        self.found += [(tag, value) for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "input", "br", "circle", "path", "polyline"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            assert self.open.pop() == tag


def test_the_page_needs_nothing_from_outside(folder):
    page = (folder / "plan.html").read_text()
    parser = Outside()
    parser.feed(page)
    assert parser.found == [] and parser.open == []
    assert not re.search(r"@import|url\(|fetch\(|https?://(?!www\.w3\.org)", page)


def test_names_from_files_are_escaped(folder):
    page = (folder / "plan.html").read_text()
    assert "chat &lt;and&gt; pictures" in page and "chat <and>" not in page
    assert "{{" not in page


def test_page_and_text_give_the_same_answer(folder, plan):
    page, text = (folder / "plan.html").read_text(), (folder / "plan.md").read_text()
    for words in (
        f"${plan.usd_per_hour.value:,.2f} /h",
        plan.inputs.digest,
        *(one.name for one in plan.classes),
        *(line.owner for group in plan.groups for line in group.ledger),
    ):
        assert words in page and words in text


def test_every_picture_has_a_table(folder):
    page = (folder / "plan.html").read_text()
    for name in ("memory", "promises", "roofline", "pareto", "gantt"):
        section = page[page.index(f'<section id="{name}"') :]
        assert "<table" in section[: section.index("</section>")], name
