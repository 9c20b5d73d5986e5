"""docs/guide/api.md against the server: its series, its codes, its endpoints."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs/guide/api.md").read_text()
SOURCES = "".join(path.read_text() for path in (ROOT / "src/loadsheet/server").glob("*.py"))
REASONS = (ROOT / "src/loadsheet/sched/event.py").read_text()


def test_every_series_of_the_guide_is_exported(app):
    app.http.post("/v1/completions", json={"prompt": "x"})
    app.http.post("/v1/images/generations", json={"prompt": "x"})
    app.loop.drain()
    app.http.post("/v1/completions", json={"prompt": "x"})
    exported = app.http.get("/metrics").text
    named = set(re.findall(r"`((?:vllm|vllm_omni|loadsheet):\w+)`", GUIDE))
    assert len(named) > 25
    # a server without an encoder has no such series; tests/integration/encoder looks at those
    named = {name for name in named if not name.startswith("loadsheet:encoder_")}
    missing = {name for name in named if not re.search(rf"^{name}(_count)?[{{ ]", exported, re.M)}
    assert missing == set()


def test_every_exported_series_is_in_the_guide(app):
    exported = re.findall(r"^# TYPE (\S+)", app.http.get("/metrics").text, re.M)
    names = {name for name in exported if not name.endswith("_created")}
    assert {name for name in names if f"`{name}`" not in GUIDE} == set()


def test_every_code_of_the_guide_exists():
    rows = re.findall(r"^\| [45]\d\d \| (.*?) \|", GUIDE, re.M)
    codes = {code for row in rows for code in re.findall(r"`(\w+)`", row)}
    assert len(codes) > 15
    assert {code for code in codes if f'"{code}"' not in SOURCES + REASONS} == set()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(?:GET )?(/[\w/]*)`", GUIDE))))
def test_every_path_of_the_guide_answers(app, path):
    assert app.http.get(path).status_code != 404 or path.endswith("/v1/")
