"""Texts of an encoder in virtual time."""

import numpy as np
import pytest

from loadsheet.sched.limits import DeviceLimits, EncoderLimits, TextLimits
from loadsheet.sched.plan import StepKind
from loadsheet.sim.class_results import ClassFacts, by_class, class_result
from loadsheet.sim.observation import Window
from loadsheet.sim.record import Fate
from loadsheet.sim.router import LeastWorkRouter
from loadsheet.sim.simulation import Simulation
from loadsheet.workload.request import RequestKind
from loadsheet.workload.slo import EncodeSLO

LIMITS = DeviceLimits(
    text=(TextLimits(model="llm", num_blocks=1000),),
    encoders=(EncoderLimits(model="bert", max_batch=4),),
)


class PassPrices:
    """A pass takes a millisecond per padded token, an iteration a tenth of a second."""

    def seconds(self, kind, model, shape):
        return shape.batch * shape.tokens * 1e-3 if kind is StepKind.ENCODE else 0.1

    def decode_segment(self, model, num_decodes, context_tokens):
        raise AssertionError("replies have one token")


@pytest.fixture
def device(make_device):
    return make_device(prices=PassPrices(), device_limits=LIMITS)


def test_texts_go_in_one_batch_padded_to_the_longest(device, encode_job):
    """The first goes alone, 10 ms; three wait for it and take 3 x 30 ms together."""
    jobs = [
        encode_job(f"e{idx}", 0.001 * idx, tokens) for idx, tokens in enumerate((10, 30, 5, 20))
    ]
    records = Simulation([device], LeastWorkRouter()).run(jobs)
    assert {record.fate for record in records} == {Fate.SERVED}
    assert records[0].end_s == pytest.approx(0.010)
    assert [record.end_s for record in records[1:]] == pytest.approx([0.1, 0.1, 0.1])
    assert device.busy_s[StepKind.ENCODE] == pytest.approx(0.1)
    device.scheduler.check_integrity()


def test_they_take_turns_with_text(device, encode_job, text_job):
    jobs = [text_job("t", 0.0), encode_job("e", 0.05, 10)]
    text, embedded = Simulation([device], LeastWorkRouter()).run(jobs)
    assert text.end_s == pytest.approx(0.1)
    assert embedded.end_s == pytest.approx(0.11)


def test_their_deadline_is_judged(device, encode_job):
    """e2e is what a class of encoders is measured by; 10 ms each, the second waits its turn."""
    records = Simulation([device], LeastWorkRouter()).run(
        [encode_job("a", 0.0, 10), encode_job("b", 0.0, 10)]
    )
    window = Window(start_s=0.0, end_s=1.0)
    facts = ClassFacts(
        name="embed", kind=RequestKind.EMBED, model="bert", slo=EncodeSLO(deadline_s=1.0)
    )
    due = by_class(records, window)["embed"]
    result = class_result(facts, due, window, np.random.default_rng(0))
    assert result.num_good == 2
    assert [item.name for item in result.latency] == ["e2e_s"]
    assert result.distribution("e2e_s").maximum == pytest.approx(max(one.end_s for one in records))
