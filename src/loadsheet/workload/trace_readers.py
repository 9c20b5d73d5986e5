"""Published trace formats, read into the one merged format.

- Azure LLM inference 2023 (Patel et al., Splitwise, ISCA 2024; Azure/AzurePublicDataset): CSV with
  TIMESTAMP, ContextTokens, GeneratedTokens.
- Mooncake (Qin et al., FAST 2025; kvcache-ai/Mooncake): JSON lines with timestamp in ms,
  input_length, output_length, hash_ids.
- vLLM-Omni image traces: JSON lines with timestamp in s, width, height, num_inference_steps.
"""

import csv
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from loadsheet.errors import ConfigError
from loadsheet.workload.shape import ImageShape, TextShape
from loadsheet.workload.trace import TraceRow, open_text, read_trace


def read_azure_llm_2023(path: Path) -> tuple[TraceRow, ...]:
    """Arrival 0 is the first row; rows without generated tokens are left out."""
    rows = list(csv.DictReader(open_text(path)))
    try:
        times_s = [_seconds(row["TIMESTAMP"]) for row in rows]
        return tuple(
            TraceRow(
                arrival_s=time_s - times_s[0],
                shape=TextShape(
                    prompt_tokens=int(row["ContextTokens"]),
                    output_tokens=int(row["GeneratedTokens"]),
                ),
            )
            for time_s, row in zip(times_s, rows, strict=True)
            if int(row["GeneratedTokens"]) > 0
        )
    except (KeyError, ValueError, TypeError) as error:
        raise ConfigError(f"{path.name} is not an Azure LLM 2023 trace: {error!r}") from error


def read_mooncake(path: Path) -> tuple[TraceRow, ...]:
    try:
        documents = [json.loads(line) for line in open_text(path) if line.strip()]
        return tuple(
            TraceRow(
                arrival_s=document["timestamp"] / 1000,
                shape=TextShape(
                    prompt_tokens=document["input_length"], output_tokens=document["output_length"]
                ),
            )
            for document in documents
        )
    except (KeyError, ValueError, TypeError) as error:
        raise ConfigError(f"{path.name} is not a Mooncake trace: {error!r}") from error


def read_vllm_omni(path: Path) -> tuple[TraceRow, ...]:
    try:
        documents = [json.loads(line) for line in open_text(path) if line.strip()]
        return tuple(
            TraceRow(
                arrival_s=float(document["timestamp"]),
                shape=ImageShape(
                    width=document["width"],
                    height=document["height"],
                    num_steps=document["num_inference_steps"],
                ),
            )
            for document in documents
        )
    except (KeyError, ValueError, TypeError) as error:
        raise ConfigError(f"{path.name} is not a vLLM-Omni image trace: {error!r}") from error


READERS: dict[str, Callable[[Path], Sequence[TraceRow]]] = {
    "loadsheet": read_trace,
    "azure-llm-2023": read_azure_llm_2023,
    "mooncake": read_mooncake,
    "vllm-omni": read_vllm_omni,
}


def _seconds(timestamp: str) -> float:
    """`2023-11-16 18:15:46.6805900`: seven decimals, one more than datetime reads."""
    whole, _, fraction = timestamp.strip().partition(".")
    moment = datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return moment.timestamp() + (float(f"0.{fraction}") if fraction else 0.0)
