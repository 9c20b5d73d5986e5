"""The load sheet in the terminal: what is on board, what it weighs, how to reach it."""

import json

from rich.console import Console
from rich.table import Table

from loadsheet.runtime.device_config import DeviceConfig
from loadsheet.runtime.model_card import (
    EncoderModelCard,
    ImageModelCard,
    ModelCard,
    TextModelCard,
)
from loadsheet.runtime.open_device import OpenDevice
from loadsheet.units import format_bytes, format_seconds

_SAVE_PNG = (
    "import sys,json,base64;"
    "open('apple.png','wb').write(base64.b64decode(json.load(sys.stdin)['data'][0]['b64_json']))"
)


_SHOWN_LABELS = 4


def print_load_sheet(console: Console, device: OpenDevice, config: DeviceConfig) -> None:
    facts = "   ".join(f"{name} [bold]{value}[/]" for name, value in device.facts.items())
    console.print(f"\n[bold]Load sheet[/]   {facts}   policy [bold]{config.policy}[/]")
    console.print(_models(device))
    console.print(_memory(device, config))
    phases = "  ".join(f"{phase.name} {format_seconds(phase.seconds)}" for phase in device.phases)
    console.print(f"[dim]start-up:[/] {phases}")
    for note in device.notes:
        console.print(f"[yellow]note:[/] {note}")


def print_address(console: Console, url: str, device: OpenDevice) -> None:
    """Where to look, and one command for each kind of model."""
    console.print(f"\n[bold green]Ready.[/] Chat and draw at [bold]{url}[/]   (Ctrl-C stops)\n")
    for card in device.cards:
        console.print(_curl(url, card), markup=False, highlight=False, soft_wrap=True)
    console.print()


def _models(device: OpenDevice) -> Table:
    table = Table(title=None, box=None, pad_edge=False, header_style="dim")
    for column in ("model", "does", "limits", "promise"):
        table.add_column(column)
    for card in device.cards:
        table.add_row(card.name, *_describe(card))
    return table


def _describe(card: ModelCard) -> tuple[str, str, str]:
    if isinstance(card, TextModelCard):
        promise = f"TTFT {format_seconds(card.slo.ttft_s)}, TPOT {format_seconds(card.slo.tpot_s)}"
        return "text", f"context {card.max_context_tokens:,} tokens", promise
    if isinstance(card, EncoderModelCard):
        promise = f"done in {format_seconds(card.slo.deadline_s)}"
        if card.labels:
            shown = ", ".join(card.labels[:_SHOWN_LABELS])
            more = "" if len(card.labels) <= _SHOWN_LABELS else f" and {len(card.labels)} in all"
            return "labels", f"{shown}{more}; up to {card.max_tokens} tokens", promise
        return "embeddings", f"{card.embedding_size} numbers; {card.max_tokens} tokens", promise
    sizes = ", ".join(f"{width}x{height}" for width, height in card.sizes)
    steps = f"{sizes}; {card.default_num_steps} steps, up to {card.max_num_steps}"
    return "images", steps, f"done in {format_seconds(card.slo.deadline_s)}"


def _memory(device: OpenDevice, config: DeviceConfig) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("memory")
    table.add_column("owner")
    table.add_column("bytes", justify="right")
    table.add_column("", justify="right")
    for line in device.ledger.lines:
        part = f"{line.model} {line.part}".strip()
        table.add_row(part, line.owner, f"{line.num_bytes:,}", format_bytes(line.num_bytes))
    total = device.ledger.total_bytes()
    budget = f" of {format_bytes(config.memory_bytes)}" if config.memory_bytes else ""
    table.add_row("[bold]total[/]", "", f"{total:,}", f"{format_bytes(total)}{budget}")
    return table


def _curl(url: str, card: ModelCard) -> str:
    if isinstance(card, ImageModelCard):
        path, tail = "images/generations", f' | python3 -c "{_SAVE_PNG}"'
        body: dict[str, object] = {"model": card.name, "prompt": "a red apple"}
    elif isinstance(card, EncoderModelCard):
        path, tail = ("classify" if card.labels else "embeddings"), ""
        body = {"model": card.name, "input": "What a splendid flight!"}
    else:
        path, tail = "chat/completions", ""
        messages = [{"role": "user", "content": "Why is the sky blue?"}]
        body = {"model": card.name, "messages": messages}
    header = "-H 'content-type: application/json'"
    return f"curl -s {url}/v1/{path} {header} -d '{json.dumps(body)}'{tail}"
