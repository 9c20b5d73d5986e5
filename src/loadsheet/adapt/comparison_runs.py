"""The stored runs that the comparison is drawn from: seeds grouped, like beside like.

Methods are compared where they saw the same amount of data: the number of training texts, or the
style and number of steps, that most methods share. The other runs of the text side make the
learning curve and show what another domain does.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadsheet.errors import ConfigError
from loadsheet.track import StoredRun
from loadsheet.track.json_value import encode

ALL_DOMAINS = "all"
_TOLD_APART_BY = ("method", "train_domain", "num_train_examples", "style")
TEXT_METHODS = ("tfidf", "probe", "lora", "full", "scratch")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The mean over `num` seeds, between the lowest and the highest."""

    mean: float
    low: float
    high: float
    num: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        return cls(
            mean=sum(values) / len(values), low=min(values), high=max(values), num=len(values)
        )

    def overlaps(self, other: "Spread") -> bool:
        return self.low <= other.high and other.low <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Runs that differ in nothing but the seed."""

    method: str
    runs: tuple[StoredRun, ...]

    def spread(self, key: str) -> Spread | None:
        """None where no run reports `key`."""
        values = [value for run in self.runs if (value := run.number(key)) is not None]
        return Spread.of(values) if values else None

    def mean(self, key: str) -> float | None:
        spread = self.spread(key)
        return None if spread is None else spread.mean

    def by_name(self, key: str) -> dict[str, float]:
        """The mean of a table of numbers, like accuracy_by_domain."""
        found: dict[str, list[float]] = defaultdict(list)
        for run in self.runs:
            table = run.summary.get(key)
            for name, value in (table if isinstance(table, Mapping) else {}).items():
                if isinstance(value, int | float):
                    found[name].append(float(value))
        return {name: sum(values) / len(values) for name, values in found.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSide:
    """`main` by method at `num_examples`; `curve` by method, then by number of examples; `shifted`
    by training domain and method."""

    num_examples: int
    main: Mapping[str, Outcome]
    curve: Mapping[str, Mapping[int, Outcome]]
    shifted: Mapping[tuple[str, str], Outcome]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSide:
    """`main` by method for one style and number of training steps; `others` by style."""

    style: str
    num_steps: int
    main: Mapping[str, Outcome]
    others: Mapping[str, Mapping[str, Outcome]]


def text_side(runs: Sequence[StoredRun]) -> TextSide:
    """Raises ConfigError where there is no finished run of `adapt text` on all domains."""
    curve: dict[str, dict[int, Outcome]] = defaultdict(dict)
    shifted = {}
    for outcome in _outcomes(runs, "adapt text"):
        domain = _word(outcome, "train_domain")
        if domain == ALL_DOMAINS:
            curve[outcome.method][_whole(outcome, "num_train_examples")] = outcome
        else:
            shifted[domain, outcome.method] = outcome
    if not curve:
        raise ConfigError("no finished run of `adapt text` was trained on all domains; add one")
    ordered = {
        method: dict(sorted(curve[method].items())) for method in sorted(curve, key=_text_order)
    }
    counts = _shared([set(by_num) for by_num in ordered.values()])
    num_examples = max(counts, key=lambda num: (counts[num], num))
    main = {
        method: by_num[num_examples] for method, by_num in ordered.items() if num_examples in by_num
    }
    return TextSide(num_examples=num_examples, main=main, curve=ordered, shifted=shifted)


def image_side(runs: Sequence[StoredRun]) -> ImageSide:
    """Raises ConfigError where there is no finished run of `adapt image`."""
    settings: dict[tuple[str, int], dict[str, Outcome]] = defaultdict(dict)
    for outcome in _outcomes(runs, "adapt image"):
        setting = (_word(outcome, "style"), _whole(outcome, "num_steps"))
        settings[setting][outcome.method] = outcome
    style, num_steps = max(settings, key=lambda setting: (len(settings[setting]), setting))
    main = settings[style, num_steps]
    return ImageSide(
        style=style,
        num_steps=num_steps,
        main={method: main[method] for method in sorted(main, key=_image_order)},
        others={other: settings[other, steps] for other, steps in settings if other != style},
    )


def _outcomes(runs: Sequence[StoredRun], command: str) -> tuple[Outcome, ...]:
    """Finished runs of one command, grouped by their settings without the seed, oldest first.

    Of several with the same seed the last one counts: a repetition is no further draw.
    """
    groups: dict[str, dict[str, StoredRun]] = defaultdict(dict)
    for run in sorted(runs, key=lambda one: one.started_at):
        if run.command == command and run.status == "finished":
            settings = {key: value for key, value in run.config.items() if key != "seed"}
            told = {key: run.summary.get(key) for key in _TOLD_APART_BY}
            groups[encode({**settings, **told})][str(run.config.get("seed", run.id))] = run
    if not groups:
        raise ConfigError(f"no finished run of `{command}`; run it, or name its folder with --runs")
    return tuple(
        Outcome(method=str(runs[0].summary.get("method", "?")), runs=runs)
        for runs in (tuple(by_seed.values()) for by_seed in groups.values())
    )


def _shared(settings: Sequence[set[int]]) -> Counter[int]:
    return Counter(setting for own in settings for setting in own)


def _word(outcome: Outcome, key: str) -> str:
    return str(outcome.runs[0].summary.get(key, "?"))


def _whole(outcome: Outcome, key: str) -> int:
    value = outcome.runs[0].number(key)
    if value is None:
        raise ConfigError(f"{outcome.runs[0].id} lacks {key!r} in its summary; run it again")
    return int(value)


def _text_order(method: str) -> tuple[int, str]:
    known = TEXT_METHODS.index(method) if method in TEXT_METHODS else len(TEXT_METHODS)
    return known, method


def _image_order(method: str) -> tuple[bool, bool, int, str]:
    """LoRA by rank, then full, then from scratch."""
    rank = int("".join(letter for letter in method if letter.isdigit()) or 0)
    return method == "scratch", method == "full", rank, method
