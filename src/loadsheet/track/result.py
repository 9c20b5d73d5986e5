"""Results as records: ours from stored runs, others' from papers, in one shape."""

import tomllib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from loadsheet.errors import ConfigError
from loadsheet.estimate import Estimate, mean
from loadsheet.track.json_value import JSON
from loadsheet.track.stored_run import StoredRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One metric of one model on one data set; `source` is a paper or the ids of our runs.

    `value` is the mean over `num_seeds` runs; published ones count as one.
    """

    task: str
    dataset: str
    model: str
    metric: str
    value: Estimate
    num_seeds: int
    source: str
    is_ours: bool
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """How the runs of one command become results; words in braces are of the summary."""

    task: str
    dataset: str
    model: str
    metrics: tuple[str, ...]
    keys: tuple[str, ...]


_KINDS = {
    "adapt text": _Kind(
        task="text-classification",
        dataset="{data}, trained on {train_domain}, {num_train_examples} texts",
        model="{method} on {base}",
        metrics=("accuracy", "macro_f1"),
        keys=("method", "train_domain", "num_train_examples"),
    ),
    "adapt image": _Kind(
        task="text-to-image",
        dataset="emoji in the style {style}, {num_steps} steps",
        model="{method} on {base}",
        metrics=("style_score", "concept_accuracy_held_out", "fid_like"),
        keys=("method", "style", "num_steps"),
    ),
    "train text": _Kind(
        task="text-generation",
        dataset="held-out text of its corpus",
        model="decoder of {parameters} parameters after {tokens} tokens",
        metrics=("bits_per_byte",),
        keys=("parameters", "tokens"),
    ),
}


def results_of(runs: Sequence[StoredRun]) -> tuple[Result, ...]:
    """Of finished runs; those that differ in nothing but the seed are one result, and of several
    with the same seed the last one counts."""
    groups: dict[tuple[str, ...], dict[str, StoredRun]] = defaultdict(dict)
    for run in sorted(runs, key=lambda one: one.started_at):
        if run.status == "finished" and run.command in _KINDS:
            words = _words(run, _KINDS[run.command].keys)
            groups[(run.command, *words.values())][str(run.config.get("seed", run.id))] = run
    return tuple(
        result for by_seed in groups.values() for result in _results(tuple(by_seed.values()))
    )


def _results(runs: Sequence[StoredRun]) -> list[Result]:
    kind = _KINDS[runs[0].command]
    words = _words(runs[0], kind.keys)
    found = []
    for metric in kind.metrics:
        values = [number for run in runs if (number := run.number(metric)) is not None]
        if values:
            found.append(
                Result(
                    task=kind.task,
                    dataset=kind.dataset.format_map(words),
                    model=kind.model.format_map(words),
                    metric=metric,
                    value=_spread(values),
                    num_seeds=len(values),
                    source=", ".join(run.id for run in runs),
                    is_ours=True,
                )
            )
    return found


def _spread(values: Sequence[float]) -> Estimate:
    """The mean, between the lowest and the highest seed: too few for an interval."""
    if len(values) == 1:
        return Estimate(value=values[0])
    return Estimate(value=mean(values).value, low=min(values), high=max(values))


def _words(run: StoredRun, keys: Sequence[str]) -> dict[str, str]:
    """What fills the braces: of the summary, then base and data of the settings."""
    data = run.config.get("data")
    table = data if isinstance(data, Mapping) else {}
    named = {"base": run.config.get("base"), "data": table.get("file") or table.get("package")}
    words = {key: _word(value) for key, value in named.items()}
    words |= {key: _word(run.summary.get(key)) for key in keys}
    if words.get("method") == "tfidf":
        words["base"] = "words"
    return words


def _word(value: JSON) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}".replace(",", " ")
    return "?" if value is None else str(value)


def published_results() -> tuple[Result, ...]:
    """Those of `published.toml`."""
    text = files("loadsheet.track").joinpath("published.toml").read_text(encoding="utf-8")
    return tuple(_published(entry) for entry in tomllib.loads(text)["result"])


def _published(entry: Mapping[str, str | float | bool]) -> Result:
    try:
        notes = (
            "from memory" if entry["from_memory"] else "",
            {"no": "other data", "partly": "other split or classes"}.get(
                str(entry["comparable"]), ""
            ),
        )
        return Result(
            task=str(entry["task"]),
            dataset=str(entry["dataset"]),
            model=str(entry["model"]),
            metric=str(entry["metric"]),
            value=Estimate(value=float(entry["value"])),
            num_seeds=1,
            source=str(entry["paper"]),
            is_ours=False,
            note=", ".join(note for note in notes if note),
        )
    except KeyError as error:
        raise ConfigError(f"published.toml: an entry lacks {error}: {dict(entry)}") from error
