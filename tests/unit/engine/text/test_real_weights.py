"""SmolLM2-135M-Instruct, as it ships: against transformers, and against itself in a mix."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from loadsheet.cache_root import cache_root
from loadsheet.engine.assets import DEFAULT_TEXT_MODEL, ensure_assets
from loadsheet.engine.cpu_cores import CpuShare
from loadsheet.engine.openvino.text_model import OpenVinoTextModel
from loadsheet.engine.text.decoder import ContiguousAttention, Decoder
from loadsheet.engine.text.generate import generate
from loadsheet.engine.text.linear import PlainLinear, build_linear
from loadsheet.engine.text.text_engine import TextEngine
from loadsheet.engine.text.text_model import TorchTextModel
from loadsheet.engine.text.tokenizer import FolderTokenizer
from loadsheet.engine.text.weights import load_decoder
from loadsheet.engine.torch_device import Placement
from loadsheet.runtime.executor import TextOutput
from loadsheet.runtime.model_card import ChatMessage
from loadsheet.runtime.payload import Sampling, TextPayload
from loadsheet.sched.plan import (
    BlockGrant,
    PrefillChunk,
    StepKind,
    StepPlan,
    TextBatch,
    TextShape,
)
from loadsheet.workload.request import TextRequest

pytestmark = pytest.mark.real_weights
QUESTION = "Explain in two sentences why ships float, please: naïve answers (日本語) are fine."


@pytest.fixture(scope="module")
def smollm2() -> Path:
    return ensure_assets([DEFAULT_TEXT_MODEL])[DEFAULT_TEXT_MODEL]


def prompt_ids(folder: Path) -> list[int]:
    return list(FolderTokenizer(folder).encode_chat([ChatMessage(role="user", content=QUESTION)]))


@torch.inference_mode()
def logits(folder: Path, dtype: torch.dtype, build=build_linear) -> torch.Tensor:
    decoder = load_decoder(folder, Placement(device=torch.device("cpu"), dtype=dtype), build)
    ids = torch.tensor(prompt_ids(folder))
    attention = ContiguousAttention(decoder, len(ids))
    return decoder.logits(decoder.hidden(ids, torch.arange(len(ids)), attention)).float()


@torch.inference_mode()
def reference(folder: Path, dtype: torch.dtype) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    return model(torch.tensor([prompt_ids(folder)])).logits[0]


def test_fp32_logits_equal_those_of_transformers(smollm2) -> None:
    ours, theirs = logits(smollm2, torch.float32, PlainLinear), reference(smollm2, torch.float32)
    assert theirs.abs().max() > 30
    assert (ours - theirs).abs().max() <= 1e-4


def test_packed_products_are_as_exact_as_plain_ones(smollm2) -> None:
    """Logits reach 39, where transformers is itself up to 1e-4 off the same model in fp64."""
    exact, theirs = reference(smollm2, torch.float64), reference(smollm2, torch.float32)
    packed = logits(smollm2, torch.float32)
    assert (packed - exact).abs().max() <= 1.5 * (theirs - exact).abs().max()


def test_bf16_is_as_close_to_fp32_as_transformers_is(smollm2) -> None:
    exact = reference(smollm2, torch.float32)
    theirs = (reference(smollm2, torch.bfloat16) - exact).abs().mean()
    assert (logits(smollm2, torch.bfloat16) - exact).abs().mean() <= theirs


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_mix_gives_what_each_gets_alone(smollm2, dtype) -> None:
    """Three prompts of 20, 90 and 150 tokens, the last in two chunks while the others decode.

    In bf16 batches of different sizes round differently: there each token must be the best of the
    plain pass over the same text, or within that rounding of it (logits near 30 step by 1/8).
    """
    decoder = load_decoder(smollm2, Placement(device=torch.device("cpu"), dtype=dtype))
    tokenizer = FolderTokenizer(smollm2)
    engine = TextEngine(TorchTextModel(decoder, num_blocks=64), tokenizer)
    text = (QUESTION + " ") * 12
    prompts = {
        name: tokenizer.encode(text)[:size] for name, size in (("a", 20), ("b", 90), ("c", 150))
    }
    tokens = mixed_tokens(engine, prompts, 24)
    for name, prompt in prompts.items():
        assert_agrees(decoder, prompt, tokens[name], 0.0 if dtype == torch.float32 else 0.5)


def mixed_tokens(
    engine: TextEngine, prompts: dict[str, tuple[int, ...]], num: int
) -> dict[str, list[int]]:
    tokens: dict[str, list[int]] = {name: [] for name in prompts}
    for name, prompt in prompts.items():
        engine.admit(
            TextRequest(
                request_id=name,
                model="m",
                arrival_s=0.0,
                prompt_tokens=len(prompt),
                max_output_tokens=num,
            ),
            TextPayload(
                prompt_ids=prompt,
                sampling=Sampling(temperature=0),
                max_output_tokens=num,
                is_eos_ignored=True,
            ),
        )
    blocks = {"a": range(0, 60, 5), "b": range(1, 60, 5), "c": range(2, 60, 5)}
    a, b = (whole(name, len(prompts[name])) for name in "ab")
    c1, c2 = half("c", 0, 70, False), half("c", 70, len(prompts["c"]) - 70, True)
    batches = [TextBatch(decodes=(), chunks=(a, b), grants=grants(blocks))]
    batches += [TextBatch(decodes=("a", "b"), chunks=(chunk,), grants=()) for chunk in (c1, c2)]
    while batches or any(len(drawn) < num for drawn in tokens.values()):
        going = tuple(name for name, drawn in tokens.items() if len(drawn) < num)
        batch = batches.pop(0) if batches else TextBatch(decodes=going, chunks=(), grants=())
        for output in engine.run(text_step(batch)):
            assert isinstance(output, TextOutput)
            tokens[output.request_id].append(output.token_id)
    return tokens


def whole(name: str, num_tokens: int) -> PrefillChunk:
    return half(name, 0, num_tokens, True)


def half(name: str, past: int, num_tokens: int, is_last: bool) -> PrefillChunk:
    return PrefillChunk(request_id=name, num_tokens=num_tokens, past_tokens=past, is_last=is_last)


def grants(blocks: dict[str, range]) -> tuple[BlockGrant, ...]:
    return tuple(BlockGrant(request_id=name, block_ids=tuple(ids)) for name, ids in blocks.items())


def text_step(batch: TextBatch) -> StepPlan:
    shape = TextShape(
        num_decodes=0, decode_context_tokens=0, prefill_tokens=0, prefill_context_tokens=0
    )
    return StepPlan(
        step_id=0,
        kind=StepKind.TEXT,
        model="m",
        lane=0,
        batch=batch,
        shape=shape,
        predicted_s=0.0,
    )


@torch.inference_mode()
def assert_agrees(decoder: Decoder, prompt: tuple[int, ...], drawn: list[int], gap: float) -> None:
    """`drawn` is greedy: each token is the best after those before it, or within `gap` of it."""
    ids = torch.tensor([*prompt, *drawn])
    attention = ContiguousAttention(decoder, len(ids))
    hidden = decoder.hidden(ids, torch.arange(len(ids)), attention)
    logits_NV = decoder.logits(hidden[len(prompt) - 1 : -1]).float()
    chosen_N = logits_NV.gather(1, torch.tensor(drawn)[:, None])[:, 0]
    assert (logits_NV.amax(dim=-1) - chosen_N).max() <= gap


def test_tokenizer_equals_that_of_transformers(smollm2) -> None:
    theirs, ours = AutoTokenizer.from_pretrained(smollm2), FolderTokenizer(smollm2)
    for text in (QUESTION, "", "  spaces\n\ttabs  ", "<|im_start|>user", "def f(x):\n    return x"):
        assert list(ours.encode(text)) == theirs(text)["input_ids"]
        assert ours.decode(ours.encode(text)) == theirs.decode(
            theirs(text)["input_ids"], skip_special_tokens=True
        )
    chat = [{"role": "user", "content": QUESTION}]
    rendered = theirs.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)
    assert prompt_ids(smollm2) == rendered["input_ids"]
    assert ours.eos_ids == {theirs.eos_token_id}


PROMPTS = (
    "The capital of France is",
    "Photosynthesis is the process by which",
    "Once upon a time",
    "def add(a, b):",
    "The best way to learn",
    "Water boils at",
    "In 1969, humans first",
    "A recipe for bread:",
    "Dear Sir or Madam,",
    "The opposite of hot is",
    "To be or not to be",
    "My favourite colour is",
    "The three laws of motion",
    "SELECT name FROM",
    "Ships float because",
    "Roses are red,",
    "The moon goes around",
    "An aeroplane is loaded so that",
    "Two plus two is",
    "日本の首都は",
)


def test_openvino_writes_what_our_decoder_writes(smollm2) -> None:
    """fp32, greedy, 64 tokens of each prompt; all prompts share the steps of one engine."""
    fp32 = Placement(device=torch.device("cpu"), dtype=torch.float32)
    tokenizer, decoder = FolderTokenizer(smollm2), load_decoder(smollm2, fp32)
    model = OpenVinoTextModel.from_folder(
        smollm2,
        dtype="fp32",
        precision="fp32",
        kv_bytes=len(PROMPTS) * 4 * 3 * 2**20,
        cache_dir=cache_root() / "openvino",
        shares={1.0: CpuShare(num_threads=1)},
    )
    engine = TextEngine(model, tokenizer)
    prompts = {str(idx): tokenizer.encode(text) for idx, text in enumerate(PROMPTS)}
    found = write_together(engine, prompts, 64)
    for name, ids in prompts.items():
        alone = generate(
            decoder, ids, max_output_tokens=64, sampling=Sampling(temperature=0), eos_ids=()
        )
        assert found[name] == list(alone), PROMPTS[int(name)]


def write_together(
    engine: TextEngine, prompts: dict[str, tuple[int, ...]], num_tokens: int
) -> dict[str, list[int]]:
    chunks, grants = [], []
    for idx, (name, ids) in enumerate(prompts.items()):
        request = TextRequest(
            request_id=name,
            model="m",
            arrival_s=0.0,
            prompt_tokens=len(ids),
            max_output_tokens=num_tokens,
        )
        payload = TextPayload(
            prompt_ids=ids,
            sampling=Sampling(temperature=0),
            max_output_tokens=num_tokens,
            is_eos_ignored=True,
        )
        engine.admit(request, payload)
        num_blocks = -(-(len(ids) + num_tokens) // engine.block_tokens)
        blocks = tuple(range(idx * 4, idx * 4 + num_blocks))
        grants.append(BlockGrant(request_id=name, block_ids=blocks))
        chunks.append(
            PrefillChunk(request_id=name, num_tokens=len(ids), past_tokens=0, is_last=True)
        )
    batches = [TextBatch(decodes=(), chunks=tuple(chunks), grants=tuple(grants))]
    batches += [TextBatch(decodes=tuple(prompts), chunks=(), grants=())] * (num_tokens - 1)
    shape = TextShape(
        num_decodes=0, decode_context_tokens=0, prefill_tokens=0, prefill_context_tokens=0
    )
    found: dict[str, list[int]] = {name: [] for name in prompts}
    for batch in batches:
        plan = StepPlan(
            step_id=0,
            kind=StepKind.TEXT,
            model="m",
            lane=0,
            batch=batch,
            shape=shape,
            predicted_s=0.0,
        )
        for output in engine.run(plan):
            assert isinstance(output, TextOutput)
            found[output.request_id].append(output.token_id)
    return found
