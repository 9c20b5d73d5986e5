"""The model card of an adapted classifier: what it is, how good, and where it is not.

Front matter with `model-index` is what model hubs read and what `runs` of other tools can compare.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from loadsheet.engine.encoder.classifier_folder import read_facts
from loadsheet.table import amount
from loadsheet.track import JSON

_HOW = {
    "probe": "a linear head on the frozen encoder",
    "lora": "LoRA on every linear layer of the encoder, and a linear head",
    "full": "full fine-tuning with a linear head",
    "scratch": "the encoder's architecture trained from random weights, with a linear head",
}


def write_card(folder: Path, summary: Mapping[str, JSON]) -> None:
    facts = read_facts(folder)
    front = [
        "---",
        "library_name: loadsheet" if facts.method != "lora" else "library_name: peft",
        "pipeline_tag: text-classification",
        *([f"base_model: {facts.base_hub}"] if facts.base_hub else []),
        "tags: [text-classification, bert]",
        "model-index:",
        f"- name: {folder.name}",
        "  results:",
        "  - task: {type: text-classification}",
        "    dataset: {name: held-out texts of all domains, type: other}",
        "    metrics:",
        *[f"    - {{type: {name}, value: {_number(summary, name):.4f}}}" for name in _METRICS],
        "---",
    ]
    lines = [*front, "", f"# {folder.name}", "", *_body(facts.method, summary)]
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


_METRICS = ("accuracy", "macro_f1", "ece", "nll")


def _body(method: str, summary: Mapping[str, JSON]) -> list[str]:
    labels = summary["labels"]
    by_domain = summary["accuracy_by_domain"]
    assert isinstance(labels, Sequence)
    assert isinstance(by_domain, Mapping)
    return [
        f"Classifies text as {', '.join(map(str, labels))}: {_HOW[method]}.",
        "",
        f"Trained on {summary['num_train_examples']} texts of `{summary['train_domain']}` in "
        f"{_number(summary, 'cpu_seconds'):.0f} core-seconds, {summary['num_steps']} steps, seed "
        f"{summary['seed']}; {amount(_number(summary, 'trainable_parameters'))} parameters learnt. "
        f"Scores are on {summary['num_test_examples']} texts apart from the training texts: no "
        "duplicate, no run of eight words and, where the data names one, no source in common.",
        "",
        "| test texts | accuracy |",
        "|---|---|",
        *[f"| {name} | {value:.3f} |" for name, value in by_domain.items()],
        f"| all | {_number(summary, 'accuracy'):.3f} |",
        "",
        f"Expected calibration error {_number(summary, 'ece'):.3f}; dividing the logits by "
        f"{_number(summary, 'temperature'):.2f} makes it {_number(summary, 'ece_scaled'):.3f}.",
        "",
        "Serve it: `loadsheet serve --classify FOLDER`. Confidence means less on texts unlike "
        "these, and a text that is none of the labels still gets one.",
    ]


def _number(summary: Mapping[str, JSON], name: str) -> float:
    value = summary[name]
    assert isinstance(value, int | float)
    return float(value)
