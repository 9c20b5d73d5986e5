"""One tracked run of text adaptation, from data to stored scores and, if asked, a folder."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from loadsheet.adapt.classifier_card import write_card
from loadsheet.adapt.classifier_scores import (
    ClassifierScores,
    Labels,
    Probabilities,
    accuracy_by_domain,
    score,
)
from loadsheet.adapt.fine_tuning import folder_bytes
from loadsheet.adapt.fitted_classifier import FittedClassifier, TextClassifier
from loadsheet.adapt.labelled_text import LabelledSet
from loadsheet.adapt.observer import Observers, RunLog
from loadsheet.adapt.peak_memory import peak_memory
from loadsheet.adapt.text_adaptation import (
    EncoderBase,
    TextAdaptation,
    TextAdaptationConfig,
    TextMethod,
    Workplace,
    training_texts,
)
from loadsheet.adapt.text_split import TextSplit
from loadsheet.engine.torch_device import resolve_placement
from loadsheet.errors import ConfigError
from loadsheet.track import JSON, Run, start_run

COMMAND = "adapt text"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRunPlan:
    """What every run of one call shares. `data` says where the texts are from, for the record."""

    split: TextSplit
    data: Mapping[str, JSON]
    base: EncoderBase
    place: Workplace
    runs_folder: Path
    sinks: Sequence[str] = ()


def run_config(plan: TextRunPlan, config: TextAdaptationConfig) -> dict[str, JSON]:
    """What is stored with a run and tells whether it has been done before."""
    return {
        "data": plan.data,
        "base": plan.base.name,
        "method": config.method.value,
        "seed": config.seed,
        "train_domain": config.train_domain,
        "num_train": config.num_train,
        "max_tokens": config.max_tokens,
        "epochs": config.epochs,
        "batch_size": config.batch_size,
        "min_steps": config.min_steps,
        "learning_rate": config.learning_rate,
        "lora": {"rank": config.lora.rank, "alpha": config.lora.alpha},
    }


def run_adaptation(
    plan: TextRunPlan, config: TextAdaptationConfig, out: Path | None = None
) -> dict[str, JSON]:
    """The summary of the run; its folder is under `plan.runs_folder`, the classifier in `out`."""
    if out is not None:
        _check_out(out, config)
    train = training_texts(plan.split, config)
    name = f"{config.method.value}-{config.train_domain}-{len(train.rows)}-s{config.seed}"
    settings = run_config(plan, config)
    with start_run(
        plan.runs_folder, command=COMMAND, name=name, config=settings, sinks=plan.sinks
    ) as run:
        summary = _fit_and_score(plan, config, train, run, out)
        run.summary(summary)
    return summary


def _fit_and_score(
    plan: TextRunPlan,
    config: TextAdaptationConfig,
    train: LabelledSet,
    run: Run,
    out: Path | None,
) -> dict[str, JSON]:
    place = Workplace(
        states_folder=plan.place.states_folder,
        device=plan.place.device,
        observer=Observers(plan.place.observer, RunLog(run)),
        on_batch=plan.place.on_batch,
    )
    adaptation = TextAdaptation(split=plan.split, base=plan.base, config=config, place=place)
    with peak_memory(resolve_placement(place.device).device) as peak_bytes:
        fitted = adaptation.fit(train)
        peak = peak_bytes()
    texts = [row.text for row in plan.split.test.rows]
    truth_N = np.array([row.label for row in plan.split.test.rows])
    started_s, started_cpu_s = time.monotonic(), time.process_time()
    probabilities_NL = fitted.classifier.predict(texts)
    predict_s = (time.monotonic() - started_s) / len(texts)
    predict_cpu_s = (time.process_time() - started_cpu_s) / len(texts)
    if fitted.known_states is not None:
        predict_s += fitted.known_states.seconds_per_text
        predict_cpu_s += fitted.known_states.cpu_s_per_text
    scores = score(probabilities_NL, truth_N)
    summary: dict[str, JSON] = {
        "method": config.method.value,
        "seed": config.seed,
        "train_domain": config.train_domain,
        "num_train_examples": len(train.rows),
        "num_test_examples": len(texts),
        "labels": list(train.labels),
        **_score_fields(scores),
        "accuracy_by_domain": accuracy_by_domain(
            probabilities_NL, truth_N, [row.domain for row in plan.split.test.rows]
        ),
        **_cost_fields(fitted),
        "peak_memory_bytes": peak,
        "ms_per_example": 1e3 * predict_s,
        "cpu_ms_per_example": 1e3 * predict_cpu_s,
        "temperature": _temperature(fitted.classifier, plan.split.validation),
    }
    summary["ece_scaled"] = _scaled_ece(probabilities_NL, truth_N, summary["temperature"])
    summary["shipped_bytes"] = _ship(fitted, summary, out)
    return summary


def _score_fields(scores: ClassifierScores) -> dict[str, JSON]:
    return {
        "accuracy": scores.accuracy,
        "macro_f1": scores.macro_f1,
        "ece": scores.ece,
        "nll": scores.nll,
        "confusion": scores.confusion,
        "reliability": [asdict(one) for one in scores.bins],
    }


def _cost_fields(fitted: FittedClassifier) -> dict[str, JSON]:
    return {
        "trainable_parameters": fitted.trainable_parameters,
        "total_parameters": fitted.total_parameters,
        "seconds": fitted.seconds,
        "cpu_seconds": fitted.cpu_seconds,
        "num_steps": fitted.num_steps,
        "s_per_step": fitted.seconds / max(1, fitted.num_steps),
    }


def _ship(fitted: FittedClassifier, summary: Mapping[str, JSON], out: Path | None) -> int:
    """Bytes of what has to be shipped; kept in `out` with a model card when it is given."""
    if out is not None:
        out.mkdir(parents=True)
        fitted.classifier.save(out)
        num_bytes = folder_bytes(out)
        write_card(out, summary)
        return num_bytes
    with tempfile.TemporaryDirectory(prefix="loadsheet-") as folder:
        fitted.classifier.save(Path(folder))
        return folder_bytes(Path(folder))


def _check_out(out: Path, config: TextAdaptationConfig) -> None:
    if config.method is TextMethod.TFIDF:
        raise ConfigError("tfidf is a baseline and cannot be served; drop --out")
    if out.exists():
        raise ConfigError(f"{out} exists; give --out a folder that does not, or remove this one")


def _temperature(classifier: TextClassifier, validation: LabelledSet) -> float:
    """The temperature that makes validation likeliest (Guo et al., ICML 2017): found on a grid,
    because a step of 5 % is finer than what a few hundred texts can tell."""
    truth_N = np.array([row.label for row in validation.rows])
    probabilities_NL = classifier.predict([row.text for row in validation.rows])
    grid = [1.05**power for power in range(-30, 61)]
    return min(grid, key=lambda one: score(scaled(probabilities_NL, one), truth_N).nll)


def scaled(probabilities_NL: Probabilities, temperature: float) -> Probabilities:
    """softmax(log p / temperature): the same ranking, other confidence."""
    logits_NL = np.log(np.maximum(probabilities_NL, 1e-300)) / temperature
    shifted_NL = np.exp(logits_NL - logits_NL.max(axis=1, keepdims=True))
    return np.asarray(shifted_NL / shifted_NL.sum(axis=1, keepdims=True))


def _scaled_ece(probabilities_NL: Probabilities, truth_N: Labels, temperature: JSON) -> float:
    assert isinstance(temperature, float)
    return score(scaled(probabilities_NL, temperature), truth_N).ece
