"""`loadsheet scaling fit` from a CSV and from runs."""

import json

import pytest

from loadsheet.cli.main import main
from loadsheet.track import start_run
from loadsheet.track.scaling_law import ScalingLaw

LAW = ScalingLaw(E=2.0, A=60.0, B=400.0, alpha=0.3, beta=0.35)
GRID = [(n, d) for n in (1e6, 3e6, 1e7, 3e7) for d in (1e7, 4e7, 2e8)]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "points.csv"
    rows = [f"{n},{d},{LAW.loss(n, d)}" for n, d in GRID]
    path.write_text("\n".join(["parameters,tokens,loss", *rows]) + "\n")
    return path


def test_the_table_shows_constants_beside_published_ones(table, tmp_path, capsys):
    plot = tmp_path / "law.svg"
    words = ["--resamples", "5", "--flops", "1e15", "--plot", str(plot)]
    assert main(["scaling", "fit", str(table), *words]) == 0
    out = capsys.readouterr().out
    rows = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
    assert rows["alpha"][1] == "0.3"
    assert rows["alpha"][-2:] == ["0.34", "0.3478"]
    assert rows["E"][1] == "2"
    assert "12 points, N 1e+06 to 3e+07 parameters" in out
    best = LAW.best_parameters(1e15)
    assert f"best N {best:.3g} parameters" in out
    assert "1e+06 parameters" in plot.read_text()


def test_runs_and_csv_give_the_same_law(table, tmp_path, capsys):
    for index, (n, d) in enumerate(GRID):
        with start_run(tmp_path / "runs", command="train text", name=f"s{index}", config={}) as run:
            run.summary({"parameters": n, "tokens": d, "loss_nats_per_token": LAW.loss(n, d)})
    laws = []
    for source in (table, tmp_path / "runs"):
        assert main(["scaling", "fit", str(source), "--json", "--resamples", "3"]) == 0
        laws.append(json.loads(capsys.readouterr().out))
    assert laws[0]["num_points"] == laws[1]["num_points"] == 12
    for name, value in (("E", 2.0), ("alpha", 0.3), ("beta", 0.35)):
        assert laws[0]["constants"][name]["value"] == pytest.approx(value, rel=1e-3)
        assert laws[1]["constants"][name]["value"] == pytest.approx(value, rel=1e-3)


def test_bad_input_is_one_line(tmp_path, capsys):
    assert main(["scaling", "fit", str(tmp_path / "absent.csv")]) == 2
    assert "cannot read" in capsys.readouterr().err
