import csv

import pytest

from loadsheet.cli.main import main
from loadsheet.track import read_runs


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "mine.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["review", "stars", "shop"])
        for index in range(120):
            word = ("awful", "great")[index % 2]
            rows.writerow(
                [f"the film {index} was {word} and {index * 3}", index % 2, "ab"[index % 3 > 0]]
            )
    return path


def flags(table, tmp_path, *more):
    columns = ["--text-column", "review", "--label-column", "stars", "--domain-column", "shop"]
    runs = ["--runs", str(tmp_path / "runs")]
    return ["adapt", "text", "--data", str(table), *columns, *runs, "--device", "cpu", *more]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LOADSHEET_CACHE", str(tmp_path / "cache"))


def test_a_users_table_on_a_users_encoder(table, make_encoder, tmp_path, capsys):
    base, out = make_encoder(tmp_path / "tiny"), tmp_path / "stars"
    more = ["--base", str(base), "--method", "probe", "--max-tokens", "24", "--out", str(out)]
    assert main(flags(table, tmp_path, *more)) == 0
    (run,) = read_runs(tmp_path / "runs")
    assert run.summary["labels"] == ["0", "1"]
    assert set(run.summary["accuracy_by_domain"]) == {"a", "b"}
    assert (out / "head.safetensors").exists() and (out / "README.md").exists()
    assert "probe" in capsys.readouterr().out


def test_a_sweep_goes_on_where_it_stopped(table, make_encoder, tmp_path, capsys):
    path = tmp_path / "sweep.toml"
    path.write_text('[[runs]]\nmethods = ["tfidf"]\nseeds = [0, 1]\nnum_train = [40]\n')
    base = str(make_encoder(tmp_path / "tiny"))
    command = flags(table, tmp_path, "--base", base, "--config", str(path))
    assert main(command) == 0
    capsys.readouterr()
    assert main(command) == 0
    assert capsys.readouterr().out == "2 runs were stored already\n"
    assert len(read_runs(tmp_path / "runs")) == 2


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--base", "/nowhere"], "no folder /nowhere"),
        (["--num-train", "10000"], "10000 training texts asked for"),
        (["--train-domain", "c"], "no domain 'c'; there are a, b"),
        (["--config", "a.toml", "--out", "b"], "--out keeps one classifier"),
        (["--epochs", "0"], "0 epochs"),
        (["--method", "lora", "--max-tokens", "99"], "reads at most 32"),
    ],
)
def test_bad_input_is_one_clear_line(table, make_encoder, tmp_path, capsys, more, words):
    base = str(make_encoder(tmp_path / "tiny"))
    path = tmp_path / "a.toml"
    path.write_text("[[runs]]\n")
    more = [str(path) if one == "a.toml" else one for one in more]
    assert main([*flags(table, tmp_path, "--base", base), *more]) == 2
    assert words in capsys.readouterr().err
