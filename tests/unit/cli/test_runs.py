"""`loadsheet runs …` on folders of runs, as a user reads it."""

import json
import math

import pytest
from PIL import Image

from loadsheet.cli.main import main
from loadsheet.track import start_run


@pytest.fixture
def runs(tmp_path):
    folder = tmp_path / "runs"
    for name, seed, accuracy in (("probe", 0, 0.75), ("lora", 0, 0.8125), ("lora", 1, 0.8)):
        config = {"method": name, "seed": seed, "loop": {"lr": 0.001, "note": "[bold]"}}
        with start_run(folder, command="adapt text", name=f"{name}-{seed}", config=config) as run:
            for step in (10, 20, 30):
                run.log(step, {"loss": math.exp(-step / 20) + seed})
            run.summary({"bins": list(range(100))})
            run.summary({"accuracy": accuracy, "confusion": [[3, 1], [0, 4]], "n": 12345})
    with start_run(folder, command="train text", name="empty", config={}):
        pass
    return folder


def loadsheet(capsys, *words):
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_list_shows_each_run_in_a_line(runs, capsys):
    code, out, _ = loadsheet(capsys, "runs", "list", "--runs", runs)
    assert code == 0
    line = next(line for line in out.splitlines() if "lora-0" in line)
    assert "adapt text  finished     30" in line
    assert line.endswith("accuracy 0.8125")
    assert out.splitlines()[-1] == f"4 runs in {runs}"


def test_list_filters_by_command_and_writes_json(runs, capsys):
    _, out, _ = loadsheet(capsys, "runs", "list", "--runs", runs, "--json")
    assert len(json.loads(out)) == 4
    _, out, _ = loadsheet(
        capsys, "runs", "list", "--runs", runs, "--json", "--command", "adapt text"
    )
    found = json.loads(out)
    assert {run["name"] for run in found} == {"probe-0", "lora-0", "lora-1"}
    assert all(run["last_step"] == 30 for run in found)
    assert found[-1]["summary"]["n"] == 12345


def test_show_has_settings_results_and_the_metric_ends(runs, capsys):
    code, out, _ = loadsheet(capsys, "runs", "show", "probe", "--runs", runs)
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert ["method", "probe"] in rows
    assert ["loop.note", "[bold]"] in rows
    assert ["n", "12", "345"] in rows
    assert ["bins", "100", "entries", "(see", "--json)"] in rows
    assert max(map(len, out.splitlines())) < 120
    assert not any(line.endswith(" ") for line in out.splitlines())
    assert ["confusion", "[[3,", "1],", "[0,", "4]]"] in rows
    assert ["loss", "3", "0.6065", "0.2231", "0.6065", "0.2231", "30"] in rows
    assert "finished, started 20" in out


def test_show_as_json_holds_every_point(runs, capsys):
    _, out, _ = loadsheet(capsys, "runs", "show", "probe", "--runs", runs, "--json")
    shown = json.loads(out)
    assert [point["step"] for point in shown["metrics"]] == [10, 20, 30]
    assert shown["summary"]["accuracy"] == 0.75


def test_compare_shows_only_settings_that_differ(runs, capsys):
    words = ("runs", "compare", "lora-0", "lora-1", "--runs", runs)
    code, out, _ = loadsheet(capsys, *words)
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert ["seed", "0", "1"] in rows
    assert ["accuracy", "0.8125", "0.8"] in rows
    assert ["loss", "0.2231", "1.223"] in rows
    assert not any(row[:1] in (["method"], ["loop.lr"], ["confusion"]) for row in rows)
    _, out, _ = loadsheet(capsys, *words, "--json")
    names = {row["key"] for row in json.loads(out)}
    assert names == {"seed", "accuracy", "n", "loss"}


@pytest.mark.parametrize("ending", [".svg", ".png"])
def test_plot_overlays_runs(runs, capsys, tmp_path, ending):
    path = tmp_path / f"loss{ending}"
    words = ("runs", "plot", "lora-0", "lora-1", "--runs", runs, "--out", path, "--log")
    code, out, _ = loadsheet(capsys, *words)
    assert (code, out) == (0, f"wrote {path}\n")
    if ending == ".png":
        with Image.open(path) as image:
            assert image.size[0] > 600
    else:
        text = path.read_text()
        assert "lora-0" in text
        assert "lora-1" in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("show", "prob-1"), "no run 'prob-1'"),
        (("compare", "probe"), "name two or more"),
        (("plot", "probe", "--metric", "los"), "no run logged 'los'; logged: loss"),
        (("plot", "probe", "--out", "x.gif"), "plots are written as .svg or .png"),
        (("plot", "empty"), "logged: nothing"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(runs, capsys, words, message):
    code, out, err = loadsheet(capsys, "runs", *words, "--runs", runs)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_logarithm_hides_nothing(tmp_path, capsys):
    with start_run(tmp_path, command="c", name="n", config={}) as run:
        run.log(1, {"gap": 1.0})
        run.log(2, {"gap": -0.5})
    words = ("runs", "plot", run.id, "--metric", "gap", "--log", "--runs", tmp_path)
    code, _, err = loadsheet(capsys, *words)
    assert code == 2
    assert "gap falls to -0.5" in err
