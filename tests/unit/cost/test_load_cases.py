"""`predict` on kernels, pipelines and load: fields in, fields out, refusals."""

import pytest

from loadsheet.cost.case import Answerer
from loadsheet.cost.image_case import OfflineImageAnswerer, denoiser_dtype
from loadsheet.cost.kernel_case import AllreduceAnswerer, AttentionAnswerer, GemmAnswerer
from loadsheet.cost.text_case import LoadAnswerer, OfflineTextAnswerer
from loadsheet.errors import LoadsheetError
from loadsheet.hardware.catalog import DeviceCatalog

GEMM = {"device": "h100-sxm-80gb", "dtype": "fp8", "m": 128, "n": 4096, "k": 4096}
ATTENTION = {
    "device": "l40s",
    "dtype": "bf16",
    "kv_dtype": "fp8",
    "phase": "decode",
    "batch": 8,
    "tokens": 1,
    "context": 2048,
    "heads": 32,
    "kv_heads": 8,
    "head_dim": 128,
}
REDUCE = {"device": "a100-sxm-80gb", "num_devices": 8, "bytes": 65536}
IMAGE = {
    "model": "sdxl",
    "device": "h100-sxm-80gb",
    "num_devices": 2,
    "dtype": "fp16",
    "width": 1024,
    "height": 1024,
    "steps": 4,
    "guidance": True,
    "batch": 1,
    "compiled": True,
}
TEXT = {"model": "llama-3.1-8b", "device": "h100-sxm-80gb", "tp": 1, "dtype": "bf16"}
LENGTHS = {"input_tokens": 256, "output_tokens": 32}
OFFLINE = {**TEXT, **LENGTHS, "num_devices": 2, "pp": 1, "batch": None}
REPLAY = {
    **TEXT,
    "max_num_seqs": 8,
    "kv_tokens": None,
    "max_batched_tokens": 512,
    "requests": [[0.0, 300, 20], [0.1, 300, 20]],
}

CASES: list[tuple[Answerer, dict[str, object], set[str]]] = [
    (GemmAnswerer(), GEMM, {"latency_ms"}),
    (AttentionAnswerer(), ATTENTION, {"latency_ms"}),
    (AllreduceAnswerer(), REDUCE, {"latency_ms"}),
    (OfflineImageAnswerer(), IMAGE, {"images_per_s", "latency_s", "batch"}),
    (OfflineTextAnswerer(), OFFLINE, {"output_tokens_per_s", "batch"}),
    (
        LoadAnswerer("closed_loop_text"),
        {**TEXT, **LENGTHS, "concurrency": 4, "ep": 1, "engine": "vllm", "engine_version": None},
        {"ttft_ms", "tpot_ms"},
    ),
    (
        LoadAnswerer("open_loop_text"),
        {**TEXT, **LENGTHS, "rate_rps": 2.0, "num_requests": 20, "engine": "trtllm"},
        {"ttft_ms", "itl_ms", "output_tokens_per_s"},
    ),
    (LoadAnswerer("replay_text"), REPLAY, {"makespan_s", "ttft_ms", "tpot_ms"}),
]


@pytest.mark.parametrize(("answerer", "case", "fields"), CASES)
def test_answers_have_their_fields_and_are_positive(
    answerer: Answerer, case: dict[str, object], fields: set[str]
) -> None:
    answer = answerer(case)
    assert set(answer) == fields  # no "extrapolated": these families were measured
    assert all(float(str(value)) > 0 for value in answer.values())


@pytest.mark.parametrize(("answerer", "case", "fields"), CASES)
def test_unknown_fields_and_devices_are_refused(
    answerer: Answerer, case: dict[str, object], fields: set[str]
) -> None:
    with pytest.raises(LoadsheetError, match="devise"):
        answerer({**case, "devise": 1})
    with pytest.raises(LoadsheetError, match=r"nearest|unknown"):
        answerer({**case, "device": "h1000"})


def test_a_family_without_measurements_says_so() -> None:
    assert GemmAnswerer()({**GEMM, "device": "b200-sxm-180gb"})["extrapolated"] is True


@pytest.mark.parametrize(
    ("answerer", "case"),
    [
        (GemmAnswerer(), {**GEMM, "m": 40000}),
        (GemmAnswerer(), {**GEMM, "dtype": "nvfp4"}),
        (GemmAnswerer(), {**GEMM, "dtype": "fp32"}),
        (AttentionAnswerer(), {**ATTENTION, "context": 200_000}),
        (AttentionAnswerer(), {**ATTENTION, "head_dim": 256}),
        (AllreduceAnswerer(), {**REDUCE, "num_devices": 16}),
    ],
)
def test_sizes_and_formats_that_nobody_measured_are_extrapolated(
    answerer: Answerer, case: dict[str, object]
) -> None:
    assert answerer(case)["extrapolated"] is True


def test_two_replicas_are_twice_one() -> None:
    one = OfflineTextAnswerer()({**OFFLINE, "num_devices": 1})["output_tokens_per_s"]
    two = OfflineTextAnswerer()(OFFLINE)["output_tokens_per_s"]
    assert float(str(two)) == pytest.approx(2 * float(str(one)))


def test_an_unset_degree_is_at_least_as_good_as_any_set_one() -> None:
    rates = [
        float(str(OfflineTextAnswerer()({**OFFLINE, "tp": tp})["output_tokens_per_s"]))
        for tp in (None, 1, 2)
    ]
    assert rates[0] == pytest.approx(max(rates))


@pytest.mark.parametrize(
    ("answerer", "case", "words"),
    [
        (AttentionAnswerer(), {**ATTENTION, "phase": "guess"}, "guess"),
        (OfflineImageAnswerer(), {**IMAGE, "guidance": "yes"}, "guidance is 'yes'"),
        (OfflineTextAnswerer(), {**OFFLINE, "tp": 4}, "more than 2 devices"),
        (LoadAnswerer("replay_text"), {**REPLAY, "requests": [[1, 2]]}, "requests must be"),
    ],
)
def test_bad_values_are_named(answerer: Answerer, case: dict[str, object], words: str) -> None:
    with pytest.raises(LoadsheetError, match=words):
        answerer(case)


def test_a_format_per_part_speaks_for_the_denoiser_only_when_it_names_it() -> None:
    catalog = DeviceCatalog()
    h100, a100 = catalog.find("h100-sxm-80gb"), catalog.find("a100-sxm-80gb")
    assert denoiser_dtype("unet:int8", h100, is_compiled=True) == "int8"
    assert denoiser_dtype("clip1:fp32", h100, is_compiled=True) == "fp8"
    assert denoiser_dtype("clip1:fp32", a100, is_compiled=True) == "fp16"
    assert denoiser_dtype("bf16", h100, is_compiled=True) == "bf16"
