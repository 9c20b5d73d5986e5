"""bounds and calibrate as a user types them."""

import json

import pytest

from loadsheet.cli import bounds, calibrate
from loadsheet.cli.parser import Parser
from loadsheet.errors import ConfigError
from loadsheet.hardware.calibration_record import read_record, record_file
from loadsheet.hardware.catalog import DeviceCatalog

MODULES = {"bounds": bounds, "calibrate": calibrate}
MIX = ("--text", "llama-3.1-8b", "--image", "pixart-alpha")


def run(command: str, *words: str) -> int:
    parser = Parser(prog=command)
    MODULES[command].add_flags(parser)
    return MODULES[command].run(parser.parse_args(list(words)))


def test_calibrate_without_an_engine_makes_a_device(tmp_path, capsys) -> None:
    folder = ("--cache-dir", str(tmp_path))
    assert run("calibrate", "--numpy", "--quick", *folder) == 0
    shown = capsys.readouterr()
    assert "device `cpu` is now this machine" in shown.out
    assert "timing NumPy" in shown.err
    record = read_record(record_file(tmp_path))
    assert (record.method, record.dtype) == ("numpy", "fp32")
    device = DeviceCatalog(record=record_file(tmp_path)).find("cpu")
    assert device.rates == record.rates


def test_calibrate_json_is_the_record(tmp_path, capsys) -> None:
    assert run("calibrate", "--numpy", "--json", "--cache-dir", str(tmp_path)) == 0
    found = json.loads(capsys.readouterr().out)
    kept = json.loads(record_file(tmp_path).read_text())
    assert {"schema_version": 1, **found} == kept
    assert {one["kind"] for one in found["measurements"]} == {"gemm", "copy"}


def test_calibrate_refuses_what_it_cannot_do(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"--seconds is 0\.5; give 1 or more"):
        run("calibrate", "--seconds", "0.5", "--cache-dir", str(tmp_path))
    with pytest.raises(ConfigError, match="run `loadsheet calibrate`"):
        run("calibrate", "--check", "--cache-dir", str(tmp_path))


def test_bounds_are_printed_with_what_limits(capsys) -> None:
    assert run("bounds", *MIX) == 0
    text = capsys.readouterr().out
    for word in ("serial unfused", "serial fused", "overlap", "memory", "computed, not measured"):
        assert word in text


def test_bounds_as_json_are_ordered(capsys) -> None:
    assert run("bounds", *MIX, "--json", "--ratio", "30") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["device"] == "h100-sxm-80gb"
    assert 0 < found["serial_unfused_rps"] <= found["serial_fused_rps"] <= found["overlap_rps"]
    assert found["broken"] == []


def test_an_impossible_promise_is_said(capsys) -> None:
    assert run("bounds", *MIX, "--tpot-slo", "0.001") == 0
    assert "no goodput: a token takes" in " ".join(capsys.readouterr().out.split())


def test_a_cluster_file_gives_one_number(tmp_path, capsys) -> None:
    path = tmp_path / "cluster.toml"
    path.write_text('[[node]]\ndevice = "h100-sxm"\nnum_devices = 8\n[[node]]\ndevice = "l40s"\n')
    assert run("bounds", *MIX, "--cluster", str(path)) == 0
    assert "9 devices: at most" in capsys.readouterr().out


def test_bounds_refuse_what_makes_no_sense() -> None:
    with pytest.raises(ConfigError, match="--ratio is -1"):
        run("bounds", *MIX, "--ratio", "-1")
    with pytest.raises(ConfigError, match="is no image pipeline"):
        run("bounds", "--text", "llama-3.1-8b", "--image", "gpt2")
