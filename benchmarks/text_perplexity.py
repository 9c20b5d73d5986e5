"""Perplexity of a fixed text in each number format of the OpenVINO engine, beside torch in fp32.

    python benchmarks/text_perplexity.py [--json FILE]

The text is cut into windows of 512 tokens, each read as prompts are: in chunks, through the paged
cache. Every position after a window's first counts once.
"""

import argparse
import json
import math
import platform
import sys
import time
from pathlib import Path

import numpy as np
import openvino
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from loadsheet.cache_root import cache_root
from loadsheet.engine.assets import DEFAULT_TEXT_MODEL, ensure_assets
from loadsheet.engine.cpu_cores import CpuShare
from loadsheet.engine.openvino.text_model import OpenVinoTextModel
from loadsheet.engine.text.ragged import RaggedBatch
from loadsheet.engine.text.text_model import TextModel, TorchTextModel
from loadsheet.engine.text.tokenizer import FolderTokenizer
from loadsheet.engine.torch_device import Placement

TEXT = Path(__file__).parent / "data" / "perplexity.txt"
WINDOW, CHUNK = 512, 256
KV_BYTES = 64 * 2**20
FORMATS = {"fp32": "fp32", "bf16": "bf16", "int8": "bf16"}


def window_loss(model: TextModel, ids: list[int]) -> float:
    """Sum of -ln p of every token but the first."""
    blocks = np.arange(-(-len(ids) // model.block_tokens))
    total = 0.0
    for past in range(0, len(ids), CHUNK):
        chunk = np.array(ids[past : past + CHUNK])
        batch = RaggedBatch(
            token_ids_N=chunk,
            positions_N=past + np.arange(len(chunk)),
            begins=(0, len(chunk)),
            past_S=np.array([past]),
            tables_SB=blocks[None],
            num_decodes=0,
            sampled=(),
            sampled_rows=tuple(range(len(chunk))),
        )
        logits = model.logits(batch)
        assert logits is not None
        targets = torch.tensor(ids[past + 1 : past + len(chunk) + 1])
        rows = logits[: len(targets)].float()
        total += float(torch.nn.functional.cross_entropy(rows, targets, reduction="sum"))
    return total


def perplexity(name: str, model: TextModel, ids: list[int], console: Console) -> float:
    windows = [ids[start : start + WINDOW] for start in range(0, len(ids), WINDOW)]
    windows = [window for window in windows if len(window) > 1]
    bars = track(windows, name, console=console, transient=True)
    loss = sum(window_loss(model, window) for window in bars)
    return math.exp(loss / sum(len(window) - 1 for window in windows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the result to this file")
    parser.add_argument("--tokens", type=int, help="only the text's first tokens")
    arguments = parser.parse_args()
    console = Console(stderr=True)
    folder = ensure_assets([DEFAULT_TEXT_MODEL])[DEFAULT_TEXT_MODEL]
    ids = list(FolderTokenizer(folder).encode(TEXT.read_text()))[: arguments.tokens]
    fp32 = Placement(device=torch.device("cpu"), dtype=torch.float32)
    found = {
        "torch fp32": perplexity(
            "torch fp32",
            TorchTextModel.from_folder(folder, fp32, kv_bytes=KV_BYTES, block_tokens=32),
            ids,
            console,
        )
    }
    for dtype, precision in FORMATS.items():
        model = OpenVinoTextModel.from_folder(
            folder,
            dtype=dtype,
            precision=precision,
            kv_bytes=KV_BYTES,
            cache_dir=cache_root() / "openvino",
            shares={1.0: CpuShare(num_threads=1)},
        )
        found[f"openvino {dtype}"] = perplexity(dtype, model, ids, console)
    report(found, len(ids), arguments.json)


def report(found: dict[str, float], num_tokens: int, file: Path | None) -> None:
    exact = found["torch fp32"]
    table = Table("engine", "perplexity", "over fp32", title=f"{num_tokens} tokens of {TEXT.name}")
    for name, value in found.items():
        table.add_row(name, f"{value:.4f}", f"{value / exact - 1:+.3%}")
    Console().print(table)
    if file is None:
        return
    facts = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": platform.machine(),
        "versions": {"openvino": openvino.__version__, "torch": torch.__version__},
        "model": DEFAULT_TEXT_MODEL,
        "command": " ".join(["python", *sys.argv]),
        "num_tokens": num_tokens,
        "perplexity": found,
    }
    file.write_text(json.dumps(facts, indent=1) + "\n")


if __name__ == "__main__":
    main()
