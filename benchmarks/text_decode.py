"""Decode speed of the text engine beside transformers and beside what the machine's matmuls allow.

    python benchmarks/text_decode.py [--model FOLDER] [--dtype bf16 fp32] [--out benchmarks/results]

Three numbers per batch size, from one process, one copy of the model's settings and one dtype:

    ceiling       every linear layer of the model, head included, as one stock F.linear call each on
                  that many rows, and nothing else: no attention, no norms, no sampling
    engine        loadsheet's TextEngine, run by step plans of the real scheduler
    transformers  model.generate, greedy

All three decode at the same contexts. Prompts are not counted: the engine's steps with prefill are
left out, and of generate it is the time of n tokens minus the time of one. The three run
in turn, several rounds, and every ratio is taken inside a round, so that a busy machine slows both
sides of it. An engine may exceed the ceiling: packed weights beat the stock calls.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import torch
import transformers
from torch import nn

from loadsheet.bench.environment import describe_environment
from loadsheet.engine.assets import DEFAULT_TEXT_MODEL, ensure_assets
from loadsheet.engine.text.config import DecoderConfig
from loadsheet.engine.text.kv_cache import kv_bytes_per_block
from loadsheet.engine.text.text_engine import TextEngine
from loadsheet.engine.text.text_model import TorchTextModel
from loadsheet.engine.text.tokenizer import FolderTokenizer
from loadsheet.engine.text.weights import read_json
from loadsheet.engine.torch_device import DTYPES, resolve_placement
from loadsheet.runtime.executor import TextOutput
from loadsheet.runtime.payload import Sampling, TextPayload
from loadsheet.sched.event import Arrived, StepFinished
from loadsheet.sched.limits import DeviceLimits, TextLimits
from loadsheet.sched.plan import StepPlan, TextShape
from loadsheet.sched.policies import make_scheduler
from loadsheet.workload.request import TextRequest
from text_decode_report import SIDES, agreement, markdown, row

MODEL = "model"
BLOCK_TOKENS = 16
TEXT = """The lighthouse keeper climbed the stairs each evening and wrote down what he saw: the
height of the waves, the colour of the sky, the names of the ships that passed. One night a small
boat came close to the rocks. He lit every lamp he had, rang the bell until his hands were sore,
and called the harbour. Nobody answered. So he took his own boat and rowed out into the storm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What every side does: `batch` sequences, a prompt each, then `new_tokens` greedy tokens."""

    prompts: tuple[tuple[int, ...], ...]
    new_tokens: int

    @property
    def batch(self) -> int:
        return len(self.prompts)

    @property
    def context_tokens(self) -> int:
        return len(self.prompts[0]) + self.new_tokens


class Ceiling:
    """The linears of a model, in its order, with its own weights."""

    def __init__(self, model: nn.Module) -> None:
        self._linears = [module for module in model.modules() if isinstance(module, nn.Linear)]

    @torch.inference_mode()
    def tokens_per_s(self, case: Case) -> float:
        dtype = self._linears[0].weight.dtype
        sizes = {linear.in_features for linear in self._linears}
        inputs = {size: torch.randn(case.batch, size).to(dtype) for size in sizes}

        def step() -> None:
            for linear in self._linears:
                nn.functional.linear(inputs[linear.in_features], linear.weight, linear.bias)

        step()
        num_steps = case.new_tokens - 1
        start_s = time.perf_counter()
        for _ in range(num_steps):
            step()
        return case.batch * num_steps / (time.perf_counter() - start_s)


class Engine:
    """The text engine under the scheduler, without loop and threads."""

    def __init__(self, folder: Path, dtype: str, largest: Case) -> None:
        config = DecoderConfig.from_hf(read_json(folder / "config.json"))
        blocks = largest.batch * -(-largest.context_tokens // BLOCK_TOKENS)
        block_bytes = kv_bytes_per_block(config, DTYPES[dtype], BLOCK_TOKENS)
        model = TorchTextModel.from_folder(
            folder,
            resolve_placement("cpu", dtype),
            kv_bytes=blocks * block_bytes,
            block_tokens=BLOCK_TOKENS,
        )
        self._engine = TextEngine(model, FolderTokenizer(folder))
        self._num_made = 0
        self.token_ids: list[list[int]] = []

    def tokens_per_s(self, case: Case) -> float:
        """Of the steps that decode the whole batch and nothing else, scheduling included."""
        limits = TextLimits(
            model=MODEL,
            num_blocks=self._engine.num_blocks,
            block_tokens=BLOCK_TOKENS,
            max_context_tokens=self._engine.max_context_tokens,
        )
        scheduler = make_scheduler(DeviceLimits(text=(limits,)), "round-robin")
        produced: dict[str, list[int]] = {}
        for prompt in case.prompts:
            request = self._admit(prompt, case.new_tokens)
            produced[request.request_id] = []
            scheduler.on_event(Arrived(request=request), 0.0)
        num_tokens, busy_s, now_s = 0, 0.0, 0.0
        while True:
            start_s = time.perf_counter()
            plan = scheduler.plan(now_s)
            if not isinstance(plan, StepPlan):
                break
            outputs = [one for one in self._engine.run(plan) if isinstance(one, TextOutput)]
            ended = tuple(one.request_id for one in outputs if one.finish_reason is not None)
            step_s = time.perf_counter() - start_s
            now_s += step_s
            finished = StepFinished(step_id=plan.step_id, duration_s=step_s, ended=ended)
            scheduler.on_event(finished, now_s)
            if is_pure_decode(plan, case.batch):
                num_tokens += len(outputs)
                busy_s += time.perf_counter() - start_s
            for output in outputs:
                produced[output.request_id].append(output.token_id)
            for request_id in ended:
                self._engine.release(request_id)
        self.token_ids = list(produced.values())
        assert all(len(ids) == case.new_tokens for ids in self.token_ids), "a request ended early"
        return num_tokens / busy_s

    def _admit(self, prompt: tuple[int, ...], new_tokens: int) -> TextRequest:
        self._num_made += 1
        request = TextRequest(
            request_id=f"r{self._num_made}",
            model=MODEL,
            arrival_s=0.0,
            prompt_tokens=len(prompt),
            max_output_tokens=new_tokens,
        )
        payload = TextPayload(
            prompt_ids=prompt,
            sampling=Sampling(temperature=0.0),
            max_output_tokens=new_tokens,
            is_eos_ignored=True,
        )
        self._engine.admit(request, payload)
        return request


class Transformers:
    def __init__(self, model: transformers.PreTrainedModel) -> None:
        self._model = model
        self.token_ids: list[list[int]] = []

    def tokens_per_s(self, case: Case) -> float:
        one_s = self._seconds(case, 1)
        all_s = self._seconds(case, case.new_tokens)
        return case.batch * (case.new_tokens - 1) / (all_s - one_s)

    @torch.inference_mode()
    def _seconds(self, case: Case, new_tokens: int) -> float:
        ids = torch.tensor(case.prompts)
        start_s = time.perf_counter()
        output = self._model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=new_tokens,
            min_new_tokens=new_tokens,
            do_sample=False,
        )
        elapsed_s = time.perf_counter() - start_s
        self.token_ids = output[:, ids.shape[1] :].tolist()
        return elapsed_s


def is_pure_decode(plan: StepPlan, batch: int) -> bool:
    shape = plan.shape
    assert isinstance(shape, TextShape)
    return shape.prefill_tokens == 0 and shape.num_decodes == batch


def make_case(tokenizer: FolderTokenizer, batch: int, arguments: argparse.Namespace) -> Case:
    """Each prompt starts at another word of the same text: real text, so few logits tie."""
    words = TEXT.split()
    prompts = []
    for idx in range(batch):
        turned = " ".join(words[idx:] + words[:idx])
        ids = tokenizer.encode(turned)
        repeats = -(-arguments.prompt_tokens // len(ids))
        prompts.append((ids * repeats)[: arguments.prompt_tokens])
    return Case(prompts=tuple(prompts), new_tokens=arguments.new_tokens)


def measure_dtype(
    folder: Path, dtype: str, arguments: argparse.Namespace
) -> list[dict[str, object]]:
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=DTYPES[dtype]).eval()
    tokenizer = FolderTokenizer(folder)
    cases = [make_case(tokenizer, batch, arguments) for batch in arguments.batch]
    largest = max(cases, key=lambda case: case.batch)
    engine, reference = Engine(folder, dtype, largest), Transformers(model)
    sides: dict[str, Callable[[Case], float]] = {
        "ceiling": Ceiling(model).tokens_per_s,
        "engine": engine.tokens_per_s,
        "transformers": reference.tokens_per_s,
    }
    same_tokens: dict[int, float] = {}
    for case in cases:  # also the warm-up
        for side in SIDES:
            sides[side](case)
        same_tokens[case.batch] = agreement(engine.token_ids, reference.token_ids)
    rounds: dict[int, list[dict[str, float]]] = {case.batch: [] for case in cases}
    for round_idx in range(arguments.rounds):
        for case in cases:
            order = SIDES if round_idx % 2 == 0 else SIDES[::-1]
            rounds[case.batch].append({side: sides[side](case) for side in order})
            print(f"{dtype} batch {case.batch}: {_short(rounds[case.batch][-1])}", file=sys.stderr)
    return [row(dtype, batch, measured, same_tokens[batch]) for batch, measured in rounds.items()]


def _short(rates: dict[str, float]) -> str:
    return ", ".join(f"{side} {rates[side]:.1f} tok/s" for side in SIDES)


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="folder; default: the default text model")
    parser.add_argument("--threads", type=int, help="default: torch's")
    parser.add_argument("--dtype", nargs="+", choices=("bf16", "fp32"), default=["bf16"])
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--prompt-tokens", type=int, default=128)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--out", type=Path, help="folder for a .json and a .md file")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    arguments = parse(argv)
    environment = describe_environment()
    environment["command"] = " ".join(
        ["python benchmarks/text_decode.py", *(sys.argv[1:] if argv is None else argv)]
    )
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    folder = arguments.model or ensure_assets([DEFAULT_TEXT_MODEL])[DEFAULT_TEXT_MODEL]
    rows = [one for dtype in arguments.dtype for one in measure_dtype(folder, dtype, arguments)]
    report: dict[str, object] = {
        "model": folder.name,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "num_rounds": arguments.rounds,
        "prompt_tokens": arguments.prompt_tokens,
        "new_tokens": arguments.new_tokens,
        "environment": environment,
        "load_average_after": list(os.getloadavg()),
        "rows": rows,
    }
    table = markdown(report, rows)
    print(json.dumps(report, indent=1))
    print(table)
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        stem = f"text_decode_{date.today().isoformat()}"
        (arguments.out / f"{stem}.json").write_text(json.dumps(report, indent=1) + "\n")
        (arguments.out / f"{stem}.md").write_text(f"# Decode speed\n\n{table}")


if __name__ == "__main__":
    main()
