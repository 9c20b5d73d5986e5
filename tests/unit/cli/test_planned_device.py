"""Serving by a plan: the limits are the plan's, and nothing may quietly differ from them."""

import argparse
from dataclasses import replace
from pathlib import Path

import pytest

from loadsheet.cli.main import parse
from loadsheet.cli.planned_device import (
    check_memory,
    planned_config,
    planned_group,
    within_plan,
)
from loadsheet.cost.ledger import Ledger
from loadsheet.errors import CapacityError, ConfigError
from loadsheet.hardware.catalog import DeviceCatalog, with_price
from loadsheet.hardware.cluster import Cluster, Link, Node
from loadsheet.planner.make_plan import make_plan
from loadsheet.planner.plan import Plan
from loadsheet.planner.plan_json import to_json
from loadsheet.planner.question import Question
from loadsheet.runtime.model_card import ImageModelCard, TextModelCard
from loadsheet.runtime.open_device import OpenDevice
from loadsheet.sched.limits import DeviceLimits, ImageLimits, ImageSize, TextLimits
from loadsheet.workload.workload_file import parse_workload

WORKLOAD = {
    "name": "small",
    "traffic": [
        {
            "name": "chat",
            "kind": "text",
            "model": "smollm2-1.7b",
            "arrivals": {"process": "poisson", "rate_rps": 1},
            "slo": {"ttft_s": 1.5, "tpot_s": 0.06, "percentile": 0.9},
        },
        {
            "name": "picture",
            "kind": "image",
            "model": "sd-1.5",
            "arrivals": {"process": "poisson", "rate_rps": 0.03},
            "width": 512,
            "height": 512,
            "slo": {"deadline_s": 12},
        },
    ],
}


@pytest.fixture(scope="module")
def plan() -> Plan:
    device = with_price(DeviceCatalog().find("l4"), 0.7)
    network = Link(name="network", bytes_per_s=1e10, latency_s=1e-5)
    node = Node(device=device, num_devices=1, network=network, name="l4")
    cluster = Cluster(nodes=((node, 2),))
    return make_plan(Question(workload=parse_workload(WORKLOAD), cluster=cluster, seeds=()))


@pytest.fixture
def folder(plan, tmp_path) -> Path:
    (tmp_path / "plan.json").write_text(to_json(plan))
    return tmp_path


def flags(folder: Path, *words: str) -> argparse.Namespace:
    return parse(["serve", str(folder), *words])


def test_the_configuration_is_the_plans(plan, folder):
    read, group = planned_group(folder, None)
    config = planned_config(read, group, flags(folder), None)
    held = {line.owner: line.num_bytes for line in group.ledger}
    assert (config.text, config.image) == ("smollm2-1.7b", "sd-1.5")
    assert config.kv_bytes == held["kv_blocks"]
    assert config.latent_bytes == group.replicas.images[0].budget_bytes == held["latents"]
    assert config.memory_bytes == group.memory_bytes
    assert (config.text_slo.ttft_s, config.text_slo.tpot_s) == (1.5, 0.06)
    assert config.text_slo.percentile == 0.9 and config.image_slo.deadline_s == 12
    assert read == plan


@pytest.mark.parametrize(
    "words",
    [
        ["--text", "other"],
        ["--kv-bytes", "1GiB"],
        ["--latent-bytes", "1MiB"],
        ["--policy", "round-robin"],
        ["--ttft-slo", "9"],
        ["--image-slo", "9"],
        ["--max-waiting-text", "3"],
    ],
)
def test_a_flag_that_the_plan_decided_is_refused(folder, words):
    read, group = planned_group(folder, None)
    with pytest.raises(ConfigError, match=f"{words[0]} .*the plan decides"):
        planned_config(read, group, flags(folder, *words), None)


def test_models_come_from_their_folder(folder, tmp_path):
    read, group = planned_group(folder, None)
    with pytest.raises(ConfigError, match=r"has no folder smollm2-1\.7b"):
        planned_config(read, group, flags(folder), tmp_path)
    for name in ("smollm2-1.7b", "sd-1.5"):
        (tmp_path / name).mkdir()
    config = planned_config(read, group, flags(folder), tmp_path)
    assert config.text == str(tmp_path / "smollm2-1.7b")


def test_groups_are_named(plan, folder):
    with pytest.raises(ConfigError, match="has no group 'x'; there are l4"):
        planned_group(folder, "x")
    second = replace(plan.groups[0].replicas, name="second")
    two = replace(plan, groups=(*plan.groups, replace(plan.groups[0], replicas=second)))
    (folder / "plan.json").write_text(to_json(two))
    with pytest.raises(ConfigError, match="plans 2 groups; give --group"):
        planned_group(folder, None)
    assert planned_group(folder, "second")[1].replicas.name == "second"


def test_several_devices_are_not_ours(plan, folder):
    replicas = replace(plan.groups[0].replicas, images=(), models=(), text=(), tp=4)
    wide = replace(plan.groups[0], replicas=replicas)
    (folder / "plan.json").write_text(to_json(replace(plan, groups=(wide,))))
    with pytest.raises(ConfigError, match=r"on 4 devices.*run_vllm\.sh"):
        planned_group(folder, None)


def test_a_smaller_machine_is_refused_first(plan):
    check_memory(plan.groups[0], plan.groups[0].used_bytes)
    with pytest.raises(CapacityError, match="this machine has"):
        check_memory(plan.groups[0], plan.groups[0].used_bytes - 1)


def opened(num_blocks: int, sizes: tuple[tuple[int, int], ...]) -> OpenDevice:
    text = TextLimits(model="smollm2-1.7b", num_blocks=num_blocks, block_tokens=32)
    image = ImageLimits(
        model="sd-1.5",
        sizes=tuple(ImageSize(width=w, height=h, state_bytes=9) for w, h in sizes),
        budget_bytes=99,
    )
    cards = (
        TextModelCard(
            name="smollm2-1.7b",
            max_context_tokens=8192,
            vocab_size=9,
            codec=None,  # type: ignore[arg-type]  # nobody asks
        ),
        ImageModelCard(
            name="sd-1.5",
            sizes=sizes,
            default_num_steps=20,
            max_num_steps=100,
            default_guidance_scale=7.0,
        ),
    )
    return OpenDevice(
        executor=None,  # type: ignore[arg-type]  # nothing runs
        limits=DeviceLimits(text=(text,), images=(image,)),
        cards=cards,
        ledger=Ledger(lines=()),
        phases=(),
        facts={"device": "cpu"},
        notes=(),
        adapters={},
    )


def test_an_opened_device_is_held_to_the_plan(plan):
    group = plan.groups[0]
    (text,), (image,) = group.replicas.text, group.replicas.images
    held = within_plan(opened(10**9, ((512, 512), (1024, 1024))), group)
    (own,), (drawn,) = held.limits.text, held.limits.images
    assert own.num_blocks * own.block_tokens <= text.num_blocks * text.block_tokens
    assert own.num_blocks * own.block_tokens > text.num_blocks * text.block_tokens - 32
    assert (own.max_num_seqs, own.max_chunk_tokens) == (text.max_num_seqs, text.max_chunk_tokens)
    assert own.max_context_tokens == text.max_context_tokens
    assert drawn.max_batch == image.max_batch
    assert [(size.width, size.height) for size in drawn.sizes] == [(512, 512)]
    cards = {card.name: card for card in held.cards}
    assert cards["smollm2-1.7b"].max_context_tokens == own.max_context_tokens
    assert cards["sd-1.5"].sizes == ((512, 512),)
    assert any("planned for l4, running on cpu" in note for note in held.notes)


def test_a_smaller_cache_is_said(plan):
    held = within_plan(opened(2, ((512, 512),)), plan.groups[0])
    assert held.limits.text[0].num_blocks == 2
    assert any("hold 64 tokens in this engine" in note for note in held.notes)


def test_a_size_that_cannot_be_drawn_is_refused(plan):
    with pytest.raises(ConfigError, match="does not draw 512x512"):
        within_plan(opened(10, ((128, 128),)), plan.groups[0])
