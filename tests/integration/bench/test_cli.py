"""The command as a user runs it: a process of its own against a server of its own."""

import json
import signal
import socket
import subprocess
import sys
import time

import pytest

from loadsheet.bench.run_folder import read_records
from loadsheet.bench.stored_run import read_run

WORKLOAD = """
name = "both"
[run]
warmup_s = 0
duration_s = 0.6
drain_s = 2
[[traffic]]
name = "chat"
kind = "text"
output_tokens = 4
arrivals = { process = "closed", concurrency = 2 }
[[traffic]]
name = "emoji"
kind = "image"
width = 64
height = 64
arrivals = { process = "closed" }
"""


@pytest.fixture(scope="module")
def server():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "loadsheet.bench.mock_server", "--port", str(port)]
    process = subprocess.Popen([*command, "--ttft", "0.02", "--itl", "0.01", "--image", "0.05"])
    wait_until_open(port)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait()


def wait_until_open(port):
    for _ in range(300):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the mock server did not start")


@pytest.fixture
def workload(tmp_path):
    path = tmp_path / "w.toml"
    path.write_text(WORKLOAD)
    return path


def command(*arguments):
    code = "import sys; from loadsheet.cli.main import main; sys.exit(main())"
    return [sys.executable, "-c", code, "bench", *map(str, arguments)]


def loadsheet(*arguments):
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=120)


def test_run_leaves_every_form_of_report(server, workload, tmp_path):
    out = tmp_path / "run"
    done = loadsheet("run", "--url", server, "--workload", workload, "--out", out, "--alone")
    assert done.returncode == 0, done.stderr
    assert "## the mix beside each class alone" in done.stdout
    assert "3/3 mixed" in done.stderr  # plain progress: this is no terminal
    names = {path.name for path in out.iterdir()}
    assert names == {"records.jsonl", "summary.json", "summary.md", "report.html", "exports"}
    assert set(read_run(out).windows) == {"alone:chat", "alone:emoji", "mixed"}

    table = loadsheet("compare", out, out)
    assert "| mixed       | chat  | ttft p50 (ms)" in table.stdout
    compared = loadsheet("compare", out, out, "--json")
    assert {change["verdict"] for change in json.loads(compared.stdout)["changes"]} <= {
        "no difference shown",
        "too few values",
    }


def test_json_on_stdout_is_the_summary(server, workload, tmp_path):
    out = tmp_path / "run"
    done = loadsheet("run", "--url", server, "--workload", workload, "--out", out, "--json")
    assert json.loads(done.stdout) == json.loads((out / "summary.json").read_text())


def test_ctrl_c_leaves_a_valid_partial_report(server, workload, tmp_path):
    out = tmp_path / "run"
    arguments = ("run", "--url", server, "--workload", workload, "--out", out, "--duration", 600)
    process = subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, text=True)
    wait_for_records(out / "records.jsonl", process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "interrupted; report of what there was" in errors
    summary = json.loads((out / "summary.json").read_text())
    assert summary["is_interrupted"] is True
    chat = summary["phases"][0]["classes"][0]
    assert chat["counts"]["ok"] > 0
    assert len(read_records(out)) > chat["counts"]["ok"]


def test_the_client_measures_itself():
    done = loadsheet("overhead", "--duration", 0.5)
    assert done.returncode == 0, done.stderr
    rows = [line.split("|") for line in done.stdout.splitlines()[2:]]
    assert [row[1].strip() for row in rows] == [
        "trivial requests",
        "100 streams",
        "20 requests/s, open loop",
    ]
    assert all(float(row[2].split()[0]) > 0 for row in rows)


def wait_for_records(path, process):
    for _ in range(600):
        if path.exists() and '"phase":"mixed"' in path.read_text():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    raise AssertionError("no request ended within a minute")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--workload", "{workload}"), "give --url, or --text-url and --image-url"),
        (("--url", "127.0.0.1:1", "--workload", "{workload}"), "no answer from http://127.0.0.1:1"),
        (("--url", "x", "--workload", "{workload}.nope"), "cannot read workload"),
    ],
)
def test_bad_input_is_one_clear_line(arguments, message, workload, tmp_path):
    given = [argument.format(workload=workload) for argument in arguments]
    done = loadsheet("run", *given, "--out", tmp_path / "run")
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
