"""Served step times start from this machine's calibration where it fits."""

import dataclasses
import json

import pytest

from loadsheet.cli.calibrated_prior import calibrated_prior
from loadsheet.cost.ledger import Ledger
from loadsheet.cost.rate_fit import TYPICAL
from loadsheet.hardware.calibration_record import CalibrationRecord, record_file, write_record
from loadsheet.hardware.host import this_host
from loadsheet.runtime.device_config import DeviceConfig
from loadsheet.runtime.open_device import OpenDevice
from loadsheet.sched.limits import DeviceLimits
from loadsheet.sched.plan import StepKind, TextShape

CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 100,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
}
RECORD = CalibrationRecord(
    date="2026-11-23",
    host=this_host(2),
    versions={},
    method="engine",
    dtype="fp32",
    measurements=(),
    rates=TYPICAL,
)


def device(**facts: str) -> OpenDevice:
    return OpenDevice(
        executor=None,  # type: ignore[arg-type]  # nothing runs
        limits=DeviceLimits(),
        cards=(),
        ledger=Ledger(lines=()),
        phases=(),
        facts={"device": "cpu", "engine": "torch", "dtype": "float32", "threads": "2", **facts},
        notes=(),
        adapters={},
    )


@pytest.fixture
def config(tmp_path) -> DeviceConfig:
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "model.safetensors").write_bytes(b"")
    return DeviceConfig(text=str(folder), cache_dir=tmp_path)


def test_a_fitting_calibration_prices_the_served_model(config, tmp_path) -> None:
    write_record(RECORD, record_file(tmp_path))
    prior = calibrated_prior(device(), config)
    assert prior is not None
    assert set(prior.text) == {"tiny"}
    step = TextShape(
        num_decodes=1, decode_context_tokens=0, prefill_tokens=0, prefill_context_tokens=0
    )
    assert prior(StepKind.TEXT, "tiny", step) > TYPICAL.text_step_s


@pytest.mark.parametrize(
    "facts",
    [{"device": "cuda:0"}, {"threads": "1"}, {"dtype": "bfloat16"}, {"engine": "openvino"}],
)
def test_another_device_or_setting_starts_plainly(config, tmp_path, facts: dict[str, str]) -> None:
    write_record(RECORD, record_file(tmp_path))
    assert calibrated_prior(device(**facts), config) is None


def test_no_calibration_is_fine(config) -> None:
    assert calibrated_prior(device(), config) is None


def test_a_model_that_cannot_be_priced_starts_plainly(config, tmp_path) -> None:
    write_record(RECORD, record_file(tmp_path))
    lost = dataclasses.replace(config, text=str(tmp_path / "nowhere"))
    prior = calibrated_prior(device(), lost)
    assert prior is not None
    assert prior.text == {}
