"""The batching engine gives what the plain loop gives, however its steps are cut and mixed."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from loadsheet.engine.cpu_cores import CpuShare
from loadsheet.engine.openvino.text_model import OpenVinoTextModel
from loadsheet.engine.openvino.weight_file import open_weights
from loadsheet.engine.text.generate import generate
from loadsheet.engine.text.text_engine import TextEngine
from loadsheet.engine.text.text_model import TorchTextModel
from loadsheet.engine.text.tokenizer import FolderTokenizer
from loadsheet.engine.text.weights import load_decoder
from loadsheet.engine.torch_device import Placement
from loadsheet.errors import CapacityError, ExecutorError
from loadsheet.runtime.executor import FailedOutput, FinishReason, TextOutput
from loadsheet.runtime.payload import Sampling, TextPayload
from loadsheet.sched.plan import (
    BlockGrant,
    ImageBatch,
    ImageItem,
    ImageShape,
    PrefillChunk,
    StepKind,
    StepPlan,
    TextBatch,
    TextShape,
)
from loadsheet.workload.request import TextRequest

GREEDY = Sampling(temperature=0)
SHAPE = TextShape(
    num_decodes=0, decode_context_tokens=0, prefill_tokens=0, prefill_context_tokens=0
)


def step(
    decodes: Iterable[str] = (),
    chunks: Iterable[PrefillChunk] = (),
    grants: dict[str, tuple[int, ...]] | None = None,
) -> StepPlan:
    batch = TextBatch(
        decodes=tuple(decodes),
        chunks=tuple(chunks),
        grants=tuple(
            BlockGrant(request_id=name, block_ids=ids) for name, ids in (grants or {}).items()
        ),
    )
    return StepPlan(
        step_id=0,
        kind=StepKind.TEXT,
        model="m",
        lane=0,
        batch=batch,
        shape=SHAPE,
        predicted_s=0.0,
    )


def chunk(name: str, num_tokens: int, past: int = 0, is_last: bool = True) -> PrefillChunk:
    return PrefillChunk(request_id=name, num_tokens=num_tokens, past_tokens=past, is_last=is_last)


def admit(engine: TextEngine, name: str, prompt: Iterable[int], **settings: object) -> None:
    fields = {"sampling": GREEDY, "max_output_tokens": 64, "is_eos_ignored": True} | settings
    payload = TextPayload(prompt_ids=tuple(prompt), **fields)
    request = TextRequest(
        request_id=name,
        model="m",
        arrival_s=0.0,
        prompt_tokens=len(payload.prompt_ids),
        max_output_tokens=payload.max_output_tokens,
    )
    engine.admit(request, payload)


def torch_engine(folder: Path, placement: Placement, num_blocks: int = 64) -> TextEngine:
    decoder = load_decoder(folder, placement)
    return TextEngine(
        TorchTextModel(decoder, num_blocks=num_blocks, block_tokens=4), FolderTokenizer(folder)
    )


def openvino_engine(folder: Path, placement: Placement, num_blocks: int = 64) -> TextEngine:
    """With blocks of 32 tokens: plans for blocks of 4 grant it more room than it needs."""
    assert placement.dtype is torch.float32
    weights = open_weights(folder, "fp32", folder / "cache")
    model = OpenVinoTextModel(
        weights, precision="fp32", num_blocks=num_blocks, shares={1.0: CpuShare(num_threads=1)}
    )
    return TextEngine(model, FolderTokenizer(folder))


MakeEngine = Callable[..., TextEngine]


@pytest.fixture(params=[torch_engine, openvino_engine], ids=["torch", "openvino"])
def make_engine(request: pytest.FixtureRequest) -> MakeEngine:
    return request.param


def plain(folder: Path, placement: Placement, prompt: Iterable[int], num: int, **sampling) -> list:
    return list(
        generate(
            load_decoder(folder, placement),
            list(prompt),
            max_output_tokens=num,
            sampling=Sampling(**({"temperature": 0} | sampling)),
        )
    )


def collect(outputs: Iterable[object], tokens: dict[str, list[int]]) -> None:
    for output in outputs:
        assert isinstance(output, TextOutput)
        tokens.setdefault(output.request_id, []).append(output.token_id)


@pytest.mark.parametrize(
    "changes",
    [
        {"tie_word_embeddings": False},
        {"tie_word_embeddings": True, "num_key_value_heads": 1},
        {"model_type": "qwen2", "num_key_value_heads": 4},
    ],
    ids=["llama-gqa", "llama-tied", "qwen2-bias"],
)
def test_mixed_steps_give_the_plain_loop(make_folder, fp32, changes, make_engine) -> None:
    """Ragged prompts, one in chunks, one arriving while others decode, scattered blocks."""
    folder = make_folder(**changes)
    engine = make_engine(folder, fp32, num_blocks=80)
    prompts = {"a": range(3), "b": range(20, 31), "c": range(40, 58)}
    admit(engine, "a", prompts["a"])
    admit(engine, "b", prompts["b"])
    tokens: dict[str, list[int]] = {}
    # 67, 75 and 82 positions in blocks of 4: 17, 19 and 21 blocks, dealt out in turns.
    blocks = {"a": tuple(range(79, 19, -3)), "b": tuple(range(78, 18, -3))}
    collect(
        engine.run(step(chunks=[chunk("a", 3), chunk("b", 5, 0, False)], grants=blocks)), tokens
    )
    collect(engine.run(step(["a"], [chunk("b", 6, 5)])), tokens)
    admit(engine, "c", prompts["c"])
    grants = {"c": (*range(20), 77)}
    collect(engine.run(step(["a", "b"], [chunk("c", 1, 0, False)], grants)), tokens)
    collect(engine.run(step(["b", "a"], [chunk("c", 16, 1, False)])), tokens)
    collect(engine.run(step(["a", "b"], [chunk("c", 1, 17)])), tokens)
    while unfinished := [name for name in prompts if len(tokens[name]) < 64]:
        collect(engine.run(step(unfinished)), tokens)
    for name, prompt in prompts.items():
        assert tokens[name] == plain(folder, fp32, prompt, 64), name


def test_seeded_sampling_is_the_same_alone_and_batched(folder, fp32, make_engine) -> None:
    engine = make_engine(folder, fp32)
    settings = [
        Sampling(temperature=1.5, seed=7),
        Sampling(temperature=0.9, top_p=0.8, seed=8),
        Sampling(temperature=1.2, top_k=5, seed=9),
        GREEDY,
    ]
    tokens: dict[str, list[int]] = {}
    for idx, sampling in enumerate(settings):
        admit(engine, str(idx), range(idx, idx + 6), sampling=sampling, max_output_tokens=20)
    grants = {str(idx): tuple(range(idx * 8, idx * 8 + 8)) for idx in range(4)}
    names = list(grants)
    collect(engine.run(step(chunks=[chunk(name, 6) for name in names], grants=grants)), tokens)
    for _ in range(19):
        collect(engine.run(step(names)), tokens)
    for idx, sampling in enumerate(settings):
        fields = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "seed": sampling.seed,
        }
        assert tokens[str(idx)] == plain(folder, fp32, range(idx, idx + 6), 20, **fields)


def test_length_ends_and_text_joins_to_the_decoded_tokens(folder, fp32, make_engine) -> None:
    engine = make_engine(folder, fp32)
    admit(engine, "a", range(65, 70), max_output_tokens=9)
    outputs = list(engine.run(step(chunks=[chunk("a", 5)], grants={"a": (0, 1, 2, 3)})))
    while outputs[-1].finish_reason is None:
        outputs += engine.run(step(["a"]))
    assert len(outputs) == 9
    assert outputs[-1].finish_reason is FinishReason.LENGTH
    decoded = engine.tokenizer.decode([output.token_id for output in outputs])
    assert "".join(output.text for output in outputs) == decoded.rstrip("\ufffd")


def test_eos_ends_without_text_unless_ignored(make_folder, fp32, make_engine) -> None:
    greedy = plain(make_folder(), fp32, [1, 2, 3], 5)
    folder = make_folder(eos_token_id=greedy[2])  # same weights: the third token is now the end
    for is_eos_ignored, num_tokens in ((False, greedy.index(greedy[2]) + 1), (True, 5)):
        engine = make_engine(folder, fp32)
        fields = {"max_output_tokens": 5, "is_eos_ignored": is_eos_ignored}
        admit(engine, "a", [1, 2, 3], **fields)
        outputs = list(engine.run(step(chunks=[chunk("a", 3)], grants={"a": (0, 1)})))
        while outputs[-1].finish_reason is None:
            outputs += engine.run(step(["a"]))
        assert [output.token_id for output in outputs] == greedy[:num_tokens]
        if not is_eos_ignored:
            assert outputs[-1].finish_reason is FinishReason.STOP
            assert outputs[-1].text == ""


def test_stop_string_cuts_the_text(folder, fp32, make_engine) -> None:
    engine = make_engine(folder, fp32)
    tokens = plain(folder, fp32, range(70, 75), 30)
    text = engine.tokenizer.decode(tokens)
    readable = [at for at in range(3, len(text) - 1) if text[at : at + 2].isascii()]
    stop = text[readable[0] : readable[0] + 2]
    admit(engine, "a", range(70, 75), max_output_tokens=30, stop=(stop,))
    outputs = list(engine.run(step(chunks=[chunk("a", 5)], grants={"a": tuple(range(9))})))
    while outputs[-1].finish_reason is None:
        outputs += engine.run(step(["a"]))
    assert outputs[-1].finish_reason is FinishReason.STOP
    assert "".join(output.text for output in outputs) == text[: text.index(stop)]


def test_text_held_for_a_stop_string_is_shown_at_the_last_token(folder, fp32, make_engine) -> None:
    text = FolderTokenizer(folder).decode(plain(folder, fp32, range(65, 70), 3))
    for stop in (f"{text[-1]}\x00", f"{text}\x00"):  # its beginning is held until the end
        engine = make_engine(folder, fp32)
        admit(engine, "a", range(65, 70), max_output_tokens=3, stop=(stop,))
        outputs = list(engine.run(step(chunks=[chunk("a", 5)], grants={"a": (0, 1, 2)})))
        while outputs[-1].finish_reason is None:
            outputs += engine.run(step(["a"]))
        assert outputs[-1].finish_reason is FinishReason.LENGTH
        assert "".join(output.text for output in outputs) == text


def test_nan_fails_one_request_and_leaves_no_trace(folder, fp32, make_engine) -> None:
    """A token whose embedding is NaN poisons its own row only, and not its blocks' next owner."""
    bad_token = 200
    tensors = load_file(folder / "model.safetensors")
    sound = shutil.copytree(folder, folder / "sound")
    tensors["model.embed_tokens.weight"][bad_token] = float("nan")
    save_file(tensors, folder / "model.safetensors")
    engine = make_engine(folder, fp32, 16)
    admit(engine, "good", [1, 2, 3], max_output_tokens=4)
    admit(engine, "bad", [5, bad_token, 6], max_output_tokens=4)
    chunks = [chunk("bad", 3), chunk("good", 3)]
    bad, good = engine.run(step(chunks=chunks, grants={"bad": (0, 1), "good": (2, 3)}))
    assert isinstance(bad, FailedOutput) and bad.request_id == "bad"
    assert "not finite" in bad.message
    tokens = [good.token_id]
    with pytest.raises(ExecutorError, match="'bad' has ended"):
        engine.run(step(["bad"]))
    engine.release("bad")
    for _ in range(3):
        [good] = engine.run(step(["good"]))
        tokens.append(good.token_id)
    expected = plain(sound, fp32, [1, 2, 3], 4)
    assert tokens == expected
    engine.release("good")
    # One prompt token: the positions after it are masked, but still hold what "bad" left there.
    admit(engine, "next", [1], max_output_tokens=3)
    collected: dict[str, list[int]] = {}
    collect(engine.run(step(chunks=[chunk("next", 1)], grants={"next": (0, 1)})), collected)
    for _ in range(2):
        collect(engine.run(step(["next"])), collected)
    assert collected["next"] == plain(sound, fp32, [1], 3)


def test_no_row_to_sample_gives_no_output(folder, fp32, make_engine) -> None:
    engine = make_engine(folder, fp32)
    admit(engine, "a", range(8))
    assert engine.run(step(chunks=[chunk("a", 4, 0, False)], grants={"a": (0,)})) == ()


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (step(["a"]), "cannot decode"),
        (step(["ghost"]), "'ghost' is not admitted"),
        (step(chunks=[chunk("a", 3, 0, False)]), "0 blocks hold 0"),
        (step(chunks=[chunk("a", 3, 2, False)], grants={"a": (0, 1)}), "does not follow the 0"),
        (step(chunks=[chunk("a", 9)], grants={"a": (0, 1, 2)}), "does not follow"),
        (step(chunks=[chunk("a", 8, 0, False)], grants={"a": (0, 1)}), "is_last=False"),
        (step(chunks=[chunk("a", 8)], grants={"a": (0, 64)}), "block 64 granted"),
        (step(grants={"ghost": (1,)}), "'ghost' is not admitted"),
        (step(), "without decodes and chunks"),
        (step(chunks=[chunk("a", 8), chunk("a", 8)], grants={"a": (0, 1)}), "twice"),
    ],
)
def test_a_plan_that_does_not_fit_is_an_error(folder, fp32, plan, message, make_engine) -> None:
    engine = make_engine(folder, fp32)
    admit(engine, "a", range(8))
    with pytest.raises(ExecutorError, match=message):
        engine.run(plan)


def test_an_image_step_is_an_error(folder, fp32, make_engine) -> None:
    plan = StepPlan(
        step_id=3,
        kind=StepKind.DENOISE,
        model="m",
        lane=0,
        batch=ImageBatch(items=(ImageItem(request_id="i", step_idx=0),)),
        shape=ImageShape(batch=1, width=8, height=8, is_guided=False),
        predicted_s=0.0,
    )
    with pytest.raises(ExecutorError, match="not a text step"):
        make_engine(folder, fp32).run(plan)


def test_release_forgets_and_unknown_ids_are_fine(folder, fp32, make_engine) -> None:
    engine = make_engine(folder, fp32)
    admit(engine, "a", range(8))
    engine.release("a")
    engine.release("a")
    with pytest.raises(ExecutorError, match="already released"):
        engine.run(step(chunks=[chunk("a", 8)], grants={"a": (0, 1)}))


@pytest.mark.parametrize(
    ("request_tokens", "payload", "message"),
    [
        ((4, 16), TextPayload(prompt_ids=(1, 2, 3)), "announces 4 prompt tokens"),
        ((0, 16), TextPayload(prompt_ids=()), "not be 0"),
        ((2, 8), TextPayload(prompt_ids=(1, 2)), "announces 8 output tokens"),
        ((2, 16), TextPayload(prompt_ids=(1, 258)), "outside 0..257"),
    ],
)
def test_admit_checks_the_payload(
    folder, fp32, request_tokens, payload, message, make_engine
) -> None:
    request = TextRequest(
        request_id="a",
        model="m",
        arrival_s=0.0,
        prompt_tokens=request_tokens[0],
        max_output_tokens=request_tokens[1],
    )
    with pytest.raises(ExecutorError, match=message):
        make_engine(folder, fp32).admit(request, payload)


def test_from_folder_fills_the_kv_budget(folder, fp32) -> None:
    # 2 (keys, values) × 2 layers × 2 heads × 8 numbers × 4 bytes × 4 tokens
    per_block = 1024
    model = TorchTextModel.from_folder(folder, fp32, kv_bytes=10 * per_block + 7, block_tokens=4)
    engine = TextEngine(model, FolderTokenizer(folder))
    assert (engine.num_blocks, engine.kv_bytes_per_block) == (10, per_block)
    assert engine.kv_bytes == 10 * per_block
    assert (engine.max_context_tokens, engine.vocab_size) == (256, 258)
    with pytest.raises(CapacityError, match="one block of 4 tokens takes 1024"):
        TorchTextModel.from_folder(folder, fp32, kv_bytes=1023, block_tokens=4)


def test_weight_bytes_count_every_tensor(folder, fp32) -> None:
    engine = torch_engine(folder, fp32)
    # embedding and head; final norm; 2 layers of q, k, v, o, gate, up, down and two norms
    layer = (32 + 16 + 16) * 32 + 32 * 32 + 3 * 48 * 32 + 2 * 32
    assert engine.weight_bytes == 4 * (2 * 258 * 32 + 32 + 2 * layer)


def test_bf16_on_cpu_runs_and_counts_the_packed_head(make_folder) -> None:
    placement = Placement(device=torch.device("cpu"), dtype=torch.bfloat16)
    folder = make_folder(tie_word_embeddings=True)
    engine = torch_engine(folder, placement)
    admit(engine, "a", range(6), max_output_tokens=3)
    outputs = list(engine.run(step(chunks=[chunk("a", 6)], grants={"a": (0, 1, 2)})))
    outputs += engine.run(step(["a"]))
    assert all(isinstance(output, TextOutput) for output in outputs)
    assert engine.kv_bytes_per_block == 512
