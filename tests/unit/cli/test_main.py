import subprocess
import sys

import pytest

from loadsheet.cli.main import COMMANDS, main, parse


def run(capsys, *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    return stop.value.code, capsys.readouterr().err


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert all(f" {command} " in text for command in COMMANDS)


def test_an_unknown_command_is_one_clear_line(capsys):
    code, text = run(capsys, "fly")
    assert code == 2
    assert "invalid choice: 'fly'" in text


def test_an_unknown_flag_names_the_nearest(capsys):
    code, text = run(capsys, "serve", "--text", "m", "--polcy", "slack")
    assert code == 2
    assert "did you mean --policy?" in text


def test_no_model_is_refused_before_anything_loads(capsys):
    assert main(["serve"]) == 2
    assert "give --text MODEL, --image MODEL, --embed MODEL" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("--kv-bytes", "lots", "is not a size"),
        ("--kv-bytes", "0", "--kv-bytes is 0"),
        ("--ttft-slo", "-1", "ttft_s is -1.0"),
        ("--image-slo", "nan", "deadline_s is nan"),
        ("--threads", "0", "--threads is 0"),
        ("--max-waiting-text", "0", "--max-waiting-text is 0"),
    ],
)
def test_a_bad_setting_says_the_value_and_what_is_due(capsys, flag, value, message):
    assert main(["serve", "--text", "m", flag, value]) == 2
    assert message in capsys.readouterr().err


def test_sizes_are_read_as_people_write_them():
    arguments = parse(["serve", "--text", "m", "--kv-bytes", "1GiB"])
    assert arguments.kv_bytes == "1GiB"


def test_only_the_command_that_is_asked_for_is_imported():
    script = "import sys; from loadsheet.cli.main import parse; parse(['assets']); "
    script += "print('loadsheet.cli.serve' in sys.modules, 'loadsheet.cli.assets' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(capsys, command):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert COMMANDS[command][1:] in " ".join(capsys.readouterr().out.split())
