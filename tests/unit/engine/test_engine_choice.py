import importlib.util

import pytest
import torch

from loadsheet.engine import engine_choice
from loadsheet.engine.engine_choice import choose_engine
from loadsheet.errors import ConfigError
from loadsheet.runtime.device_config import DeviceConfig


def config(**changes) -> DeviceConfig:
    return DeviceConfig(text="m", **({"device": "cpu"} | changes))


def test_a_cpu_gets_openvino_where_it_is_installed(monkeypatch):
    found = choose_engine(config())
    assert (found.name, found.num_lanes) == ("openvino", found.cores.num_lanes)
    monkeypatch.setattr(engine_choice, "find_spec", lambda _: None)
    found = choose_engine(config())
    assert (found.name, found.cores, found.num_lanes) == ("torch", None, 1)
    with pytest.raises(ConfigError, match=r"not installed; pip install 'loadsheet\[openvino\]'"):
        choose_engine(config(engine="openvino"))


def test_torch_can_be_asked_for():
    assert importlib.util.find_spec("openvino")
    found = choose_engine(config(engine="torch", dtype="fp32"))
    assert (found.name, found.weights, found.precision) == ("torch", "fp32", "fp32")


def test_int8_is_of_weights_alone():
    found = choose_engine(config(dtype="int8"))
    assert found.weights == "int8"
    assert found.placement.dtype in (torch.bfloat16, torch.float32)
    with pytest.raises(ConfigError, match="'int8', which the torch engine on cpu has not"):
        choose_engine(config(dtype="int8", engine="torch"))


def test_unknown_engines_are_refused():
    with pytest.raises(ConfigError, match="'tensorrt'; give auto, torch or openvino"):
        choose_engine(config(engine="tensorrt"))


def test_openvino_computes_on_a_cpu(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(ConfigError, match="computes on a cpu, not on mps"):
        choose_engine(config(engine="openvino", device="mps", dtype="fp32"))
