"""A calibration survives its file and becomes a device; broken ones name the command."""

import dataclasses
import json

import pytest

from loadsheet.errors import ConfigError
from loadsheet.hardware.calibration_record import (
    CalibrationRecord,
    Measurement,
    read_record,
    record_file,
    write_record,
)
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.hardware.host import this_host
from loadsheet.hardware.microbenchmark import copy_measurement, gemm_measurements
from loadsheet.hardware.operator_rates import OperatorRates

RATES = OperatorRates(
    gemm_flops_per_s=2e11,
    gemm_half_rows=4.0,
    conv_flops_per_s=1e11,
    conv_half_rows=100.0,
    attention_flops_per_s=5e10,
    memory_bytes_per_s=3e10,
    kv_bytes_per_s=1e10,
    pointwise_bytes_per_s=2e10,
    launch_s=1e-5,
    text_step_s=1e-3,
    sequence_s=1e-4,
    image_step_s=1e-3,
)
RECORD = CalibrationRecord(
    date="2026-11-23T12:00:00+00:00",
    host=this_host(2),
    versions={"loadsheet": "0"},
    method="numpy",
    dtype="fp32",
    measurements=(
        Measurement(
            kind="gemm",
            model="",
            shape={"m": 1, "n": 2, "k": 3},
            seconds=0.5,
            fastest_s=0.25,
            runs=3,
        ),
    ),
    rates=RATES,
)


def test_a_record_survives_its_file(tmp_path) -> None:
    path = record_file(tmp_path / "new")
    write_record(RECORD, path)
    assert read_record(path) == RECORD


def test_this_machine_is_a_device_with_its_own_rates(tmp_path) -> None:
    path = record_file(tmp_path)
    write_record(RECORD, path)
    device = DeviceCatalog(record=path).find("CPU")
    assert device.rates == RATES
    assert device.memory_bytes == RECORD.host.memory_bytes
    assert device.flops_per_s("fp32") == 2e11
    assert (device.date, device.price) == (RECORD.date, None)
    assert "numpy" in device.source


def test_without_a_record_the_error_names_the_command(tmp_path) -> None:
    with pytest.raises(ConfigError, match=r"does not exist; run `loadsheet calibrate`"):
        DeviceCatalog(record=record_file(tmp_path)).find("cpu")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ("[]", "schema None, this is 1"),
        ('{"schema_version": 7}', "schema 7, this is 1"),
        ('{"schema_version": 1}', "is incomplete"),
    ],
)
def test_a_broken_record_says_what_to_run(tmp_path, text: str, message: str) -> None:
    path = record_file(tmp_path)
    path.write_text(text)
    with pytest.raises(ConfigError, match=rf"{message}.*run `loadsheet calibrate`"):
        read_record(path)


def test_a_record_with_an_impossible_rate_is_refused(tmp_path) -> None:
    path = record_file(tmp_path)
    write_record(RECORD, path)
    found = json.loads(path.read_text())
    found["rates"]["memory_bytes_per_s"] = 0
    path.write_text(json.dumps(found))
    with pytest.raises(ConfigError, match="memory_bytes_per_s of the calibration is 0"):
        read_record(path)
    with pytest.raises(ConfigError, match="launch_s of the calibration is -1"):
        dataclasses.replace(RATES, launch_s=-1)


def test_microbenchmarks_say_what_they_ran() -> None:
    (product,) = gemm_measurements(only_rows=1)
    assert product.kind == "gemm"
    assert product.shape["m"] == 1
    assert 0 < product.fastest_s <= product.seconds
    copied = copy_measurement()
    assert copied.shape["num_bytes"] / copied.fastest_s > 1e6
