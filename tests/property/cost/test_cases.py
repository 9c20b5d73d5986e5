"""Any line is answered: with finite numbers, or with one clear error. Nothing crashes or hangs."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import loadsheet.specs.catalog
from loadsheet.cost.case import Answerer, FlopsAnswerer, answer_line
from loadsheet.cost.image_case import OfflineImageAnswerer
from loadsheet.cost.kernel_case import AllreduceAnswerer, AttentionAnswerer, GemmAnswerer
from loadsheet.cost.text_case import LoadAnswerer, OfflineTextAnswerer
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.specs.catalog import Catalog

CATALOG, DEVICES = Catalog(), DeviceCatalog()
ANSWERERS: dict[str, Answerer] = {
    "flops": FlopsAnswerer(CATALOG),
    "gemm": GemmAnswerer(DEVICES),
    "attention": AttentionAnswerer(DEVICES),
    "allreduce": AllreduceAnswerer(DEVICES),
    "offline_text": OfflineTextAnswerer(CATALOG, DEVICES),
    "offline_image": OfflineImageAnswerer(CATALOG, DEVICES),
    **{
        kind: LoadAnswerer(kind, CATALOG, DEVICES)
        for kind in ("closed_loop_text", "open_loop_text", "replay_text")
    },
}
MODELS = sorted(
    path.stem for path in (Path(loadsheet.specs.catalog.__file__).parent / "catalog").glob("*.toml")
)
devices = st.sampled_from([device.name for device in DEVICES.devices()])
models = st.sampled_from(MODELS)
dtypes = st.sampled_from(
    [
        "bf16",
        "fp16",
        "fp8",
        "fp4",
        "nvfp4",
        "mxfp4",
        "int8",
        "int4",
        "uint4",
        "fp32",
        "fp7",
        "u:fp8",
    ]
)
odd = st.sampled_from([None, 0, -1, 10**12, 1.5, True, "x", [], {}, math.nan, math.inf])
few = st.sampled_from([1, 2, 3, 8, 48])
size = st.sampled_from([1, 7, 128, 1000, 4096, 65536])
tokens = st.sampled_from([1, 16, 200, 1500])
flags = st.booleans()
arrival = st.tuples(st.floats(0, 5), st.integers(1, 600), st.integers(1, 60)).map(list)

FIELDS: dict[str, dict[str, st.SearchStrategy[object]]] = {
    "flops": {
        "model": models,
        "component": st.sampled_from(["decoder", "encoder", "denoiser", "vae_decode"]),
        "shape": st.one_of(
            st.fixed_dictionaries({"tokens": size, "batch": few}),
            st.fixed_dictionaries({"width": size, "height": size, "batch": few}),
        ),
    },
    "gemm": {"device": devices, "dtype": dtypes, "m": size, "n": size, "k": size},
    "attention": {
        "device": devices,
        "dtype": dtypes,
        "kv_dtype": dtypes,
        "phase": st.sampled_from(["prefill", "decode", "bidirectional", "sideways"]),
        "batch": few,
        "tokens": tokens,
        "context": size,
        "heads": few,
        "kv_heads": few,
        "head_dim": st.sampled_from([1, 40, 64, 128, 576]),
    },
    "allreduce": {"device": devices, "num_devices": few, "bytes": size},
    "offline_text": {
        "num_devices": few,
        "pp": few,
        "batch": st.one_of(st.none(), few),
    },
    "offline_image": {
        "model": models,
        "device": devices,
        "num_devices": few,
        "dtype": dtypes,
        "width": st.sampled_from([8, 100, 256, 512]),
        "height": st.sampled_from([8, 100, 256, 512]),
        "steps": few,
        "guidance": flags,
        "batch": few,
        "compiled": flags,
    },
    "closed_loop_text": {"concurrency": few, "ep": few, "engine_version": st.none()},
    "open_loop_text": {"rate_rps": st.floats(0.01, 50), "num_requests": few},
    "replay_text": {
        "max_num_seqs": few,
        "kv_tokens": st.one_of(st.none(), size),
        "max_batched_tokens": st.one_of(st.none(), size),
        "requests": st.lists(arrival, max_size=5),
    },
}
TEXT: dict[str, st.SearchStrategy[object]] = {
    "model": models,
    "device": devices,
    "tp": st.one_of(st.none(), few),
    "dtype": dtypes,
}
LENGTHS: dict[str, st.SearchStrategy[object]] = {"input_tokens": tokens, "output_tokens": tokens}
ENGINE = {"engine": st.sampled_from(["vllm", "trtllm", "sglang", None, "tgi"])}
for kind in ("offline_text", "closed_loop_text", "open_loop_text", "replay_text"):
    FIELDS[kind] |= TEXT
    FIELDS[kind] |= {} if kind == "replay_text" else LENGTHS
    FIELDS[kind] |= {} if kind == "offline_text" else ENGINE


@st.composite
def lines(draw: st.DrawFn, kind: str) -> str:
    case = draw(st.fixed_dictionaries(FIELDS[kind]))
    for key in draw(st.sets(st.sampled_from(sorted(case)), max_size=1)) if draw(flags) else ():
        case[key] = draw(odd)
    return json.dumps({"id": 7, "case": kind, **case})


@pytest.mark.parametrize("kind", list(ANSWERERS))
def test_any_case_is_answered_with_finite_numbers_or_an_error(kind: str) -> None:
    slow = kind.endswith(("text", "image"))

    @settings(
        max_examples=15 if slow else 60,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(line=lines(kind))
    def check(line: str) -> None:
        answer = answer_line(line, ANSWERERS)
        assert answer["id"] == 7
        if "error" in answer:
            assert str(answer["error"]).strip()
            return
        for name, value in answer.items():
            if name not in ("id", "extrapolated"):
                assert isinstance(value, int | float)
                assert math.isfinite(value)
                assert value >= 0

    check()


@settings(max_examples=300, deadline=None)
@given(line=st.text())
def test_any_text_is_answered(line: str) -> None:
    assert "error" in answer_line(line, ANSWERERS)


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_are_none_are_refused(constant: str) -> None:
    fields = '"case": "gemm", "device": "l4", "dtype": "fp16", "n": 1, "k": 1'
    line = f'{{"id": 1, {fields}, "m": {constant}}}'
    assert constant in str(answer_line(line, ANSWERERS)["error"])


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ({"case": "open_loop_text", "rate_rps": 1.0, "num_requests": 10**9}, "100000"),
        ({"case": "closed_loop_text", "concurrency": 10**9}, "100000"),
    ],
)
def test_endless_runs_are_refused_with_the_limit(case: dict[str, object], words: str) -> None:
    common = {"model": "llama-3.1-8b", "device": "h100-sxm-80gb", "tp": 1, "dtype": "bf16"}
    line = json.dumps({**common, **case, "input_tokens": 10, "output_tokens": 10})
    assert words in str(answer_line(line, ANSWERERS)["error"])


@pytest.mark.parametrize(
    ("field", "value"), [("max_num_seqs", 0), ("max_batched_tokens", 0), ("kv_tokens", 0)]
)
def test_a_replay_with_an_empty_limit_is_refused_not_run_for_ever(field: str, value: int) -> None:
    case = {
        "case": "replay_text",
        "model": "llama-3.1-8b",
        "device": "h100-sxm-80gb",
        "tp": 1,
        "dtype": "bf16",
        "max_num_seqs": 4,
        "max_batched_tokens": 64,
        "requests": [[0.0, 10, 5]],
    }
    line = json.dumps({**case, field: value})
    assert "must be 1 or more" in str(answer_line(line, ANSWERERS)["error"])
