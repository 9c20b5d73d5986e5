"""Every method learns a tiny task on a tiny encoder, is stored, and serves what it predicted."""

import json
import random

import numpy as np
import pytest
import torch

from loadsheet.adapt.labelled_text import LabelledSet, LabelledText
from loadsheet.adapt.text_adaptation import (
    EncoderBase,
    TextAdaptation,
    TextAdaptationConfig,
    TextMethod,
    Workplace,
    training_domains,
    training_texts,
)
from loadsheet.adapt.text_run import TextRunPlan, run_adaptation
from loadsheet.adapt.text_split import split_texts
from loadsheet.adapt.text_sweep import missing_runs, read_sweep
from loadsheet.engine.encoder.boarding import EncoderBoarding
from loadsheet.engine.torch_device import Placement
from loadsheet.errors import ConfigError
from loadsheet.runtime.payload import EncodePayload
from loadsheet.sched.plan import EncoderBatch, EncoderShape, StepKind, StepPlan
from loadsheet.track import read_runs
from loadsheet.workload.request import EncodeRequest

GOOD, BAD = ("good", "fine", "great"), ("bad", "awful", "poor")
FILLERS = ("the film was", "a very", "this book is", "the phone was very", "tweet is a", "it was")


class Silent:
    def on_step(self, step, num_steps, loss):
        pass


@pytest.fixture(scope="module")
def split():
    draw = random.Random(0)
    rows = []
    for index in range(400):
        label = index % 2
        words = [draw.choice(FILLERS), draw.choice(GOOD if label else BAD), draw.choice(FILLERS)]
        text = f"{' '.join(words)} {draw.choice(FILLERS)} {draw.choice(FILLERS)}"
        domain = ("book", "film")[index // 2 % 2]
        rows.append(LabelledText(text=text, label=label, domain=domain, group=f"{index}"))
    distinct = {row.text: row for row in rows}
    return split_texts(LabelledSet(rows=tuple(distinct.values()), labels=("negative", "positive")))


@pytest.fixture(scope="module")
def plan(split, make_encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    place = Workplace(
        states_folder=folder / "states",
        device="cpu",
        observer=Silent(),
        on_batch=lambda done, total: None,
    )
    tiny = make_encoder(folder / "tiny")
    return TextRunPlan(
        split=split,
        data={"made": "here"},
        base=EncoderBase(folder=tiny, name=str(tiny), hub_name="tiny"),
        place=place,
        runs_folder=folder / "runs",
    )


def config(method, min_steps=60, **fields):
    rates = {TextMethod.LORA: 2e-2, TextMethod.FULL: 3e-3, TextMethod.SCRATCH: 3e-3}
    return TextAdaptationConfig(
        method=method, learning_rate=rates.get(method), min_steps=min_steps, max_tokens=24, **fields
    )


@pytest.mark.parametrize("method", list(TextMethod))
def test_every_method_learns(plan, method):
    # LoRA moves a random encoder slowly: there is no skill in it to turn
    steps = 150 if method is TextMethod.LORA else 60
    summary = run_adaptation(plan, config(method, steps))
    assert summary["accuracy"] > 0.85
    assert 0 < summary["trainable_parameters"] <= summary["total_parameters"]
    assert (summary["total_parameters"] > 10_000) is (method is not TextMethod.TFIDF)
    assert summary["shipped_bytes"] > 0
    assert sum(map(sum, summary["confusion"])) == len(plan.split.test.rows)
    stored = [run for run in read_runs(plan.runs_folder) if run.summary["method"] == method]
    assert stored[-1].status == "finished"
    assert stored[-1].summary["accuracy"] == summary["accuracy"]


@pytest.mark.parametrize("method", [TextMethod.PROBE, TextMethod.LORA, TextMethod.FULL])
def test_what_is_saved_serves_the_same(plan, method, tmp_path):
    out = tmp_path / "mine"
    summary = run_adaptation(plan, config(method), out)
    card = (out / "README.md").read_text()
    assert f"{summary['accuracy']:.4f}" in card and "model-index" in card
    placement = Placement(device=torch.device("cpu"), dtype=torch.float32)
    boarding = EncoderBoarding(placement=placement, max_waiting=8, on_phase=lambda phase: None)
    boarding.classify(out)
    (group,) = boarding.engines
    texts = [row.text for row in plan.split.test.rows]
    truth = np.array([row.label for row in plan.split.test.rows])
    rows = np.stack([served(boarding, group, text) for text in texts])
    assert (rows.argmax(axis=1) == truth).mean() == pytest.approx(summary["accuracy"], abs=0.05)
    is_small = method is not TextMethod.FULL
    assert (summary["shipped_bytes"] < (plan.base.folder / "model.safetensors").stat().st_size) is (
        is_small
    )


def served(boarding, group, text):
    (card,) = boarding.cards
    token_ids = card.codec.encode(text)
    request = EncodeRequest(request_id="a", model=group, arrival_s=0, num_tokens=len(token_ids))
    engine = boarding.engines[group]
    engine.admit(request, EncodePayload(token_ids=token_ids, head=card.name))
    step = StepPlan(
        step_id=1,
        kind=StepKind.ENCODE,
        model=group,
        lane=0,
        batch=EncoderBatch(texts=("a",)),
        shape=EncoderShape(batch=1, tokens=len(token_ids)),
        predicted_s=0.1,
    )
    return engine.run(step)[0].values


def test_the_same_seed_gives_the_same_numbers(plan):
    first, second = (run_adaptation(plan, config(TextMethod.LORA, 3, num_train=40)) for _ in "ab")
    assert first["nll"] == second["nll"]
    other = run_adaptation(plan, config(TextMethod.LORA, 3, num_train=40, seed=1))
    assert other["nll"] != first["nll"]


def test_lora_leaves_the_base_as_it_was(plan):
    before = (plan.base.folder / "model.safetensors").read_bytes()
    adaptation = TextAdaptation(
        split=plan.split, base=plan.base, config=config(TextMethod.LORA, 3), place=plan.place
    )
    fitted = adaptation.fit(plan.split.train)
    names = [name for name, one in fitted.classifier.module.named_parameters() if one.requires_grad]
    assert names and all("lora_" in name or name.startswith("head.") for name in names)
    assert (plan.base.folder / "model.safetensors").read_bytes() == before


def test_smaller_parts_are_parts_of_larger_ones(split):
    small = training_texts(split, config(TextMethod.PROBE, num_train=10))
    large = training_texts(split, config(TextMethod.PROBE, num_train=60))
    assert set(small.rows) < set(large.rows)


def test_domains_by_name(split):
    assert training_domains(("a", "b", "c"), "all-but-b") == ("a", "c")
    assert training_domains(("a", "b"), "b") == ("b",)
    with pytest.raises(ConfigError, match="no domain 'x'"):
        training_domains(("a", "b"), "x")
    with pytest.raises(ConfigError, match="has"):
        training_texts(split, config(TextMethod.PROBE, num_train=10**6))


def test_a_sweep_runs_once(plan, tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(
        '[[runs]]\nmethods = ["tfidf"]\nseeds = [7, 8]\nnum_train = [0, 50]\nmin_steps = 5\n'
    )
    configs = read_sweep(path)
    assert [(one.seed, one.num_train) for one in configs] == [
        (7, None),
        (8, None),
        (7, 50),
        (8, 50),
    ]
    run_adaptation(plan, configs[2])
    assert missing_runs(plan, configs) == [configs[0], configs[1], configs[3]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[runs]]\nmethods = ["bayes"]', "tfidf, probe"),
        ("[[runs]]\nseed = [1]", "did you mean seeds"),
        ("[[runs]]\nseeds = 1", "list of whole numbers"),
        ("runs = 3", "one or more tables"),
        ("[[runs", "not TOML"),
    ],
)
def test_sweeps_that_cannot_be_read(tmp_path, text, words):
    path = tmp_path / "sweep.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_sweep(path)


def test_a_folder_in_use_and_a_baseline_to_serve(plan, tmp_path):
    with pytest.raises(ConfigError, match="exists"):
        run_adaptation(plan, config(TextMethod.PROBE), tmp_path)
    with pytest.raises(ConfigError, match="baseline"):
        run_adaptation(plan, config(TextMethod.TFIDF), tmp_path / "new")


def test_the_adapter_loads_in_peft(plan, tmp_path):
    out = tmp_path / "mine"
    run_adaptation(plan, config(TextMethod.LORA, 3), out)
    settings = json.loads((out / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == "tiny"
    assert (settings["r"], settings["peft_type"]) == (8, "LORA")
