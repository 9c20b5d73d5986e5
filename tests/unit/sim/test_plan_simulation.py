"""Whole deployments: what is counted, what happens besides the load, and what it costs."""

import json
import math
from dataclasses import replace
from itertools import pairwise

import pytest

from loadsheet.cli.main import main
from loadsheet.errors import ConfigError
from loadsheet.runtime.replay import replay
from loadsheet.sched.limits import EncoderLimits, ImageLimits, ImageSize, TextLimits
from loadsheet.sched.plan import StepKind
from loadsheet.sim.deployment import Deployment, ReplicaGroup, ResidentModel
from loadsheet.sim.output_folder import write_result
from loadsheet.sim.plan_simulation import Simulator, simulate_plan
from loadsheet.sim.price_book import PriceBook
from loadsheet.sim.record import Fate
from loadsheet.sim.scenario import (
    Failure,
    OnFailure,
    Reactive,
    Scenario,
    Scheduled,
    Startup,
    Straggler,
)
from loadsheet.workload.arrivals import ClosedLoop, OpenLoop
from loadsheet.workload.lengths import Fixed
from loadsheet.workload.slo import ImageSLO, TextSLO
from loadsheet.workload.traffic import ImageTraffic, StandaloneSLO, TextTraffic
from loadsheet.workload.workload import RunPlan, Workload

GROUP = ReplicaGroup(
    name="g",
    device="l4",
    num_replicas=2,
    models=(ResidentModel(name="smollm2-135m"), ResidentModel(name="sd-1.5")),
    text=(TextLimits(model="smollm2-135m", num_blocks=2000),),
    images=(
        ImageLimits(
            model="sd-1.5",
            sizes=(ImageSize(width=256, height=256, state_bytes=1000),),
            budget_bytes=8000,
        ),
    ),
    usd_per_hour=0.5,
)
FLEET = Deployment(groups=(GROUP,))
CHAT = TextTraffic(
    name="chat",
    arrivals=OpenLoop(rate_rps=4),
    prompt_tokens=Fixed(value=100),
    output_tokens=Fixed(value=20),
    slo=TextSLO(ttft_s=1, tpot_s=0.05),
)
DRAW = ImageTraffic(
    name="draw",
    arrivals=OpenLoop(rate_rps=1),
    width=256,
    height=256,
    num_steps=Fixed(value=10),
    slo=ImageSLO(deadline_s=5),
)
LOAD = Workload(name="mix", traffic=(CHAT, DRAW), run=RunPlan(drain_s=30))


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return PriceBook()


@pytest.fixture
def simulate(book):
    def run(fleet=FLEET, load=LOAD, seconds=20.0, warmup=2.0, seed=0, scenario=None, **more):
        simulator = Simulator(scenario=scenario or Scenario(), book=book, **more)
        return simulator.run(fleet, load, seconds=seconds, warmup=warmup, seed=seed)

    return run


def ends(result):
    return [(one.job.request.request_id, one.fate, one.end_s) for one in result.records]


def test_a_seed_fixes_everything(simulate):
    assert ends(simulate(seed=3)) == ends(simulate(seed=3))
    assert ends(simulate(seed=3)) != ends(simulate(seed=4))


def test_jumps_change_nothing(simulate):
    """Per-request times, counts and gaps of the whole fleet, to rounding."""
    jumped, stepped = simulate(), simulate(scenario=Scenario(step_by_step=True))
    for one, other in zip(jumped.records, stepped.records, strict=True):
        assert one.fate is other.fate
        assert one.end_s == pytest.approx(other.end_s, rel=1e-9)
    for one, other in zip(jumped.classes, stepped.classes, strict=True):
        assert one.counts == other.counts
        for item, same in zip(one.latency, other.latency, strict=True):
            assert item.mean.value == pytest.approx(same.mean.value, rel=1e-9)
    p99 = [one.itl["smollm2-135m"].quantiles["p99"].value for one in (jumped, stepped)]
    assert p99[0] == pytest.approx(p99[1], rel=1e-9)


def test_only_the_window_counts(simulate):
    result = simulate()
    due = [one for one in result.records if 2 <= one.job.request.arrival_s < 22]
    assert sum(one.counts.due for one in result.classes) == len(due) < len(result.records)
    chat = result.find("chat")
    assert chat.counts.served == chat.counts.due == chat.num_good
    assert chat.goodput_rps.value == pytest.approx(chat.num_good / 20)
    assert result.joint_goodput_rps == pytest.approx(
        sum(one.goodput_rps.value for one in result.classes)
    )
    assert result.is_joint_met
    ttft = sorted(one.first_s - one.job.request.arrival_s for one in due if one.first_s > 0)
    assert chat.distribution("ttft_s").minimum == pytest.approx(ttft[0])


def test_replicas_cost_time_and_energy(simulate, book):
    """20 s of two devices at half a dollar an hour; power between idle and busy."""
    result = simulate()
    assert result.cost_usd == pytest.approx(2 * 0.5 * 20 / 3600)
    watts = book.device("l4").power_w
    assert 2 * 20 * watts * 0.2 < result.energy_j < 2 * 20 * watts
    for replica in result.replicas:
        assert replica.up_s == 20
        assert 0 < replica.utilisation < 1.05
        assert replica.busy_s[StepKind.DENOISE] > 0 < replica.busy_s[StepKind.TEXT]
        assert max(sample.used_blocks["smollm2-135m"] for sample in replica.memory) > 0
        assert all(sample.used_bytes["sd-1.5"] <= 8000 for sample in replica.memory)
        assert replica.memory[-1].at_s == pytest.approx(22)


def test_half_the_devices_are_busier(simulate):
    one = simulate(fleet=Deployment(groups=(replace(GROUP, num_replicas=1),)))
    two = simulate()
    assert one.replicas[0].utilisation > max(item.utilisation for item in two.replicas)
    mean = [item.find("draw").distribution("time_to_image_s").mean.value for item in (one, two)]
    assert mean[0] > mean[1]


def test_closed_loops_keep_their_concurrency(simulate):
    users = replace(CHAT, arrivals=ClosedLoop(concurrency=3, think_s=0.5))
    result = simulate(load=Workload(name="closed", traffic=(users,)))
    begins = [(one.job.request.arrival_s, 1) for one in result.records]
    stops = [(one.end_s, -1) for one in result.records]
    inside, most = 0, 0
    for _, change in sorted(begins + stops):
        inside += change
        most = max(most, inside)
    assert most == 3
    by_user = [one for one in result.records if one.job.session == "chat#1"]
    for earlier, later in pairwise(by_user):
        assert later.job.request.arrival_s == pytest.approx(earlier.end_s + 0.5)


def test_a_call_of_several_images_ends_with_its_last(simulate):
    pairs = replace(DRAW, arrivals=ClosedLoop(), num_images=2)
    result = simulate(load=Workload(name="pairs", traffic=(pairs,)))
    records = result.records
    assert len(records) % 2 == 0
    for first, second, third in zip(records[::2], records[1::2], records[2::2], strict=False):
        assert first.job.request.arrival_s == second.job.request.arrival_s
        assert third.job.request.arrival_s == pytest.approx(max(first.end_s, second.end_s))


def test_a_standalone_promise_is_a_multiple_of_the_price(simulate, book):
    load = Workload(name="alone", traffic=(replace(DRAW, slo=StandaloneSLO(factor=4)),))
    slo = simulate(load=load).find("draw").slo
    alone = simulate(load=replace(load, traffic=(replace(DRAW, arrivals=ClosedLoop()),)))
    shortest = alone.find("draw").distribution("time_to_image_s").minimum
    assert slo.deadline_s == pytest.approx(4 * shortest)


def test_what_cannot_be_in_time_is_counted(simulate):
    hard = replace(CHAT, slo=TextSLO(ttft_s=1e-4, tpot_s=1))
    result = simulate(load=Workload(name="hard", traffic=(hard,)))
    chat = result.find("chat")
    assert chat.num_good == 0 < chat.counts.served
    assert not result.is_joint_met
    assert result.joint_goodput_rps == 0


def test_a_full_queue_refuses(simulate):
    tight = replace(GROUP, num_replicas=1, images=(replace(GROUP.images[0], max_waiting=1),))
    many = replace(DRAW, arrivals=OpenLoop(rate_rps=100))
    result = simulate(
        Deployment(groups=(tight,)), Workload(name="many", traffic=(many,)), seconds=2.0
    )
    refused = [one for one in result.records if one.fate is Fate.REJECTED]
    assert refused
    assert "as many as may" in refused[0].message


def test_a_straggler_takes_its_factor_longer(simulate):
    load = Workload(name="draw", traffic=(replace(DRAW, arrivals=OpenLoop(rate_rps=0.2)),))
    fleet = replace(FLEET, router="round-robin")
    scenario = Scenario(stragglers=(Straggler(replica="g-1", slowdown=3.0),))
    result = simulate(fleet, load, seconds=60.0, warmup=0.0, scenario=scenario)
    took = {
        name: min(one.end_s - one.job.request.arrival_s for one in result.records
                  if one.device == name)
        for name in ("g-0", "g-1")
    }  # fmt: skip
    assert took["g-1"] == pytest.approx(3 * took["g-0"], rel=1e-6)


def test_noise_keeps_the_mean_and_widens_the_spread(simulate):
    load = Workload(name="draw", traffic=(replace(DRAW, arrivals=ClosedLoop()),))
    calm = simulate(load=load, seconds=40.0).find("draw").distribution("time_to_image_s")
    loud = simulate(load=load, seconds=40.0, scenario=Scenario(noise_cv=0.5))
    found = loud.find("draw").distribution("time_to_image_s")
    assert found.mean.value == pytest.approx(calm.mean.value, rel=0.1)
    assert found.std > 3 * calm.std


@pytest.mark.parametrize("on_failure", list(OnFailure))
def test_a_failed_replica_comes_back_cold(simulate, book, on_failure):
    """Nothing is sent to g-0 between 10 s and repair, start-up and loading later; who was inside
    is lost, or begins again elsewhere and counts its wait from its own arrival."""
    busy = replace(LOAD, traffic=(replace(CHAT, arrivals=OpenLoop(rate_rps=60)), DRAW))
    startup = Startup(base_s=2.0, bytes_per_s=1e9)
    scenario = Scenario(
        failures=(Failure(replica="g-0", at_s=10.0, repair_s=3.0),),
        on_failure=on_failure,
        startup=startup,
    )
    result = simulate(load=busy, scenario=scenario, seconds=25.0)
    num_bytes = sum(book.weight_bytes(model) for model in GROUP.models)
    back_s = 10 + 3 + 2 + num_bytes / 1e9
    assert 15 < back_s < 25
    on_it = [one.job.request.arrival_s for one in result.records if one.device == "g-0"]
    assert not [at_s for at_s in on_it if 10 < at_s < back_s - 0.02]
    assert [at_s for at_s in on_it if at_s > back_s]
    assert result.replicas[0].num_failures == 1
    hit = [one for one in result.records if one.num_restarts or one.fate is Fate.LOST]
    assert hit
    if on_failure is OnFailure.LOSE:
        assert {one.fate for one in hit} == {Fate.LOST}
    else:
        assert {one.fate for one in hit} == {Fate.SERVED}
        assert all(one.device == "g-1" and one.first_s > 10 for one in hit)


def test_scheduled_replicas_arrive_after_their_lead_time(simulate, book):
    single = Deployment(groups=(replace(GROUP, num_replicas=1),))
    scenario = Scenario(
        autoscalers=(Scheduled(group="g", steps=((5.0, 2), (15.0, 1))),),
        startup=Startup(base_s=1.0, bytes_per_s=1e9),
    )
    result = simulate(single, scenario=scenario, warmup=0.0)
    first, second = result.replicas
    lead_s = 1 + sum(book.weight_bytes(model) for model in GROUP.models) / 1e9
    arrivals = [one.job.request.arrival_s for one in result.records if one.device == second.name]
    assert 5 + lead_s <= min(arrivals)
    retired = first if first.up_s < 20 else second
    assert retired.up_s < 20
    assert (
        max(one.job.request.arrival_s for one in result.records if one.device == retired.name)
        < 15.1
    )


def test_a_reactive_autoscaler_follows_the_load(simulate):
    busy = replace(LOAD, traffic=(replace(DRAW, arrivals=OpenLoop(rate_rps=12)),))
    single = Deployment(groups=(replace(GROUP, num_replicas=1),))
    scaler = Reactive(group="g", target=3.0, high=4, interval_s=1.0)
    startup = Startup(base_s=1.0, bytes_per_s=1e10)
    alone = simulate(single, busy)
    scaled = simulate(single, busy, scenario=Scenario(autoscalers=(scaler,), startup=startup))
    paid_s = sum(one.up_s for one in scaled.replicas)
    assert 20 < paid_s < 4.5 * 20  # at most four at a time, and what drains
    late = [one.find("draw").distribution("time_to_image_s").mean.value for one in (scaled, alone)]
    assert late[0] < late[1]
    calm = simulate(single, scenario=Scenario(autoscalers=(scaler,), startup=startup))
    assert sum(one.up_s for one in calm.replicas) < paid_s


def test_a_replica_that_never_returns_is_replaced(simulate):
    """Hysteresis keeps the number wanted; the dead one no longer counts."""
    scenario = Scenario(
        failures=(Failure(replica="g-0", at_s=5.0, repair_s=math.inf),),
        autoscalers=(Reactive(group="g", target=100.0, low=2, interval_s=1.0),),
        startup=Startup(base_s=1.0, bytes_per_s=1e10),
    )
    result = simulate(scenario=scenario)
    assert [one.name for one in result.replicas] == ["g-0", "g-1", "g-2"]
    assert any(one.device == "g-2" for one in result.records)


@pytest.mark.parametrize(
    ("scenario", "message"),
    [
        (Scenario(failures=(Failure(replica="g-9", at_s=1.0),)), "no replica 'g-9', only g-0, g-1"),
        (Scenario(autoscalers=(Reactive(group="h", target=1.0),)), "no group 'h', only g"),
    ],
)
def test_wrong_names_are_told(simulate, scenario, message):
    with pytest.raises(ConfigError, match=message):
        simulate(scenario=scenario)


def test_wrong_questions_are_told(simulate):
    with pytest.raises(ConfigError, match="more than 0"):
        simulate(seconds=0.0)
    with pytest.raises(ConfigError, match=r"class chat asks for model 'smol'.*smollm2-135m"):
        simulate(load=Workload(name="w", traffic=(replace(CHAT, model="smol"),)))
    with pytest.raises(ConfigError, match="no router 'last-work'; the nearest is 'least-work'"):
        simulate(replace(FLEET, router="last-work"))
    with pytest.raises(ConfigError, match="no policy 'slak'; the nearest is 'slack'"):
        simulate(Deployment(groups=(replace(GROUP, policy="slak"),)))


def test_lanes_run_both_kinds_at_once(simulate):
    lanes = Deployment(groups=(replace(GROUP, num_lanes=2, num_replicas=1),))
    result = simulate(lanes, trace_s=(0.0, 22.0))
    spans = result.replicas[0].spans
    text = [one for one in spans if one.lane == 0]
    other = [one for one in spans if one.lane == 1]
    assert {one.kind for one in text} == {StepKind.TEXT}
    assert any(
        one.start_s < two.end_s and two.start_s < one.end_s for one in text[:200] for two in other
    )


def test_tensor_and_pipeline_parallel_replicas(simulate):
    """Four devices read a long prompt sooner than one either way; only shards speed up tokens."""
    text = (TextLimits(model="llama-3.1-8b", num_blocks=4000, max_chunk_tokens=2048),)
    load = Workload(
        name="long",
        traffic=(replace(CHAT, prompt_tokens=Fixed(value=8000), arrivals=OpenLoop(rate_rps=0.5)),),
    )

    def latency_s(tp: int, pp: int) -> tuple[float, float]:
        group = ReplicaGroup(
            name="g",
            device="h100-sxm",
            num_replicas=1,
            models=(ResidentModel(name="llama-3.1-8b"),),
            text=text,
            tp=tp,
            pp=pp,
        )
        result = simulate(Deployment(groups=(group,)), load)
        assert result.replicas[0].num_devices == tp * pp
        chat = result.find("chat")
        ttft, tpot = (chat.distribution(name).mean.value for name in ("ttft_s", "tpot_s"))
        return ttft, tpot

    (alone_ttft, alone_tpot), (tp_ttft, tp_tpot), (pp_ttft, pp_tpot) = (
        latency_s(*sizes) for sizes in ((1, 1), (4, 1), (1, 4))
    )
    assert max(tp_ttft, pp_ttft) < 0.6 * alone_ttft
    assert tp_tpot < 0.7 * min(alone_tpot, pp_tpot)


def test_the_folder_holds_it_all(simulate, tmp_path):
    result = simulate(trace_s=(0.0, 5.0))
    names = {path.name for path in write_result(result, tmp_path)}
    assert {"summary.json", "requests.jsonl", "memory.jsonl", "trace.json"} <= names
    rows = [json.loads(line) for line in (tmp_path / "requests.jsonl").read_text().splitlines()]
    assert [row["request_id"] for row in rows] == [
        one.job.request.request_id for one in result.records
    ]
    summary = json.loads((tmp_path / "summary.json").read_text())
    chat = next(one for one in summary["classes"] if one["name"] == "chat")
    good = [row for row in rows if row["class"] == "chat" and row["is_good"]]
    assert chat["slo"]["num_good"] == len([one for one in good if 2 <= one["arrival_s"] < 22])
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    steps = [one for one in events if one["ph"] == "X"]
    assert sum(one["args"]["steps"] for one in steps) > 100
    assert all(one["ts"] < 5e6 for one in steps)


def test_event_logs_replay(simulate, tmp_path):
    simulate(log_dir=tmp_path, scenario=Scenario(noise_cv=0.2))
    for name in ("g-0", "g-1"):
        assert replay(tmp_path / f"{name}.events.jsonl") == []


def test_encoders_are_priced(book):
    """One replica with BERT: its prices are those of the cost model, its texts are served."""
    group = ReplicaGroup(
        name="e",
        device="l4",
        num_replicas=1,
        models=(ResidentModel(name="bert-base"),),
        encoders=(EncoderLimits(model="bert-base"),),
    )
    assert group.limits.models == ("bert-base",)
    assert book.weight_bytes(group.models[0]) == pytest.approx(2 * 109.5e6, rel=0.01)


def test_simulate_plan_is_the_short_way():
    result = simulate_plan(FLEET, LOAD, seconds=5, seed=1, warmup=1)
    assert result.find("chat").counts.served


def test_the_command(tmp_path, capsys):
    workload = tmp_path / "load.toml"
    workload.write_text(
        '[run]\nwarmup_s = 1\nduration_s = 5\n[[traffic]]\nname = "chat"\nkind = "text"\n'
        'arrivals = { process = "poisson", rate_rps = 3 }\n'
    )
    asked = ["simulate", "--workload", str(workload), "--device", "l4"]
    assert main([*asked, "--text", "smollm2-135m", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["is_simulated"] is True
    assert main([*asked, "--text", "smollm2-135m", "--out", str(tmp_path / "run")]) == 0
    assert "every promise is kept" in capsys.readouterr().out
    assert (tmp_path / "run" / "trace.json").exists()
    assert main(asked) == 2
    assert "no model to simulate" in capsys.readouterr().err
    assert main([*asked, "--text", "smollm2-135m", "--fail", "x"]) == 2
    assert "--fail is 'x'; write it as REPLICA@S" in capsys.readouterr().err
    assert main([*asked, "--text", "llama-3.1-70b"]) == 2
    assert "out of memory by" in capsys.readouterr().err
    assert main([*asked, "--plan", str(tmp_path)]) == 2
    assert "--plan says what runs where; leave out --device" in capsys.readouterr().err
