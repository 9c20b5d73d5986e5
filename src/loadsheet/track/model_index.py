"""The `model-index` block of a model card: the results of a run where model hubs look for them.

The form is the one that Papers with Code introduced and the Hugging Face hub still reads; the
block goes between two `---` lines at the head of README.md.
"""

import json
from collections.abc import Mapping

from loadsheet.errors import ConfigError
from loadsheet.track.json_value import JSON
from loadsheet.track.stored_run import StoredRun

_TASKS = {
    "adapt text": ("text-classification", "train_domain", ("accuracy", "macro_f1", "ece", "nll")),
    "adapt image": (
        "text-to-image",
        "style",
        ("style_score", "style_score_held_out", "concept_accuracy_held_out", "fid_like"),
    ),
    "train text": ("text-generation", "corpus", ("bits_per_byte", "loss_nats_per_token")),
}


def model_index(run: StoredRun, model_name: str) -> str:
    """As YAML, ending with a line feed. Raises ConfigError for a run without such results."""
    if run.command not in _TASKS:
        raise ConfigError(f"{run.id} ran {run.command!r}; a model card is for {sorted(_TASKS)}")
    task, data_key, metrics = _TASKS[run.command]
    values = {name: value for name in metrics if (value := run.number(name)) is not None}
    if not values:
        raise ConfigError(f"{run.id} has none of {', '.join(metrics)} in its summary")
    data = run.summary.get(data_key) or run.config.get(data_key) or "unnamed"
    return front_matter(model_name, task, str(data), values)


def front_matter(model_name: str, task: str, dataset: str, metrics: Mapping[str, float]) -> str:
    """The block for any numbers; `dataset` is a name that people know it by."""
    identifier = "".join(letter if letter.isalnum() else "-" for letter in dataset.lower())
    lines = [
        "model-index:",
        f"- name: {_text(model_name)}",
        "  results:",
        "  - task:",
        f"      type: {_text(task)}",
        "    dataset:",
        f"      name: {_text(dataset)}",
        f"      type: {_text(identifier)}",
        "    metrics:",
    ]
    for name, value in metrics.items():
        lines += [f"    - type: {_text(name)}", f"      value: {value:.6g}"]
    return "\n".join(lines) + "\n"


def _text(value: JSON) -> str:
    """A JSON text is a YAML text, whatever it holds."""
    return json.dumps(value, ensure_ascii=False)
