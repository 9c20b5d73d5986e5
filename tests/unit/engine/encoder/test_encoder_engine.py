import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from loadsheet.engine.encoder.boarding import EncoderBoarding
from loadsheet.engine.encoder.encoder_folder import load_encoder
from loadsheet.engine.encoder.pooling import sentence_embedding
from loadsheet.errors import ConfigError, ExecutorError
from loadsheet.runtime.payload import EncodePayload
from loadsheet.sched.plan import EncoderBatch, EncoderShape, StepKind, StepPlan
from loadsheet.workload.request import EncodeRequest

TEXTS = ("a good film", "bad", "the phone was very very good and it is not awful")


@pytest.fixture
def board(placement):
    """`board(embed, *classifiers)`: everything loaded."""

    def load(embed, *classify):
        boarding = EncoderBoarding(placement=placement, max_waiting=8, on_phase=lambda phase: None)
        if embed is not None:
            boarding.embed(str(embed))
        for folder in classify:
            boarding.classify(folder)
        return boarding

    return load


def run(engine, group, payloads):
    for name, payload in payloads.items():
        request = EncodeRequest(
            request_id=name, model=group, arrival_s=0.0, num_tokens=len(payload.token_ids)
        )
        engine.admit(request, payload)
    shape = EncoderShape(batch=len(payloads), tokens=16)
    plan = StepPlan(
        step_id=1,
        kind=StepKind.ENCODE,
        model=group,
        lane=0,
        batch=EncoderBatch(texts=tuple(payloads)),
        shape=shape,
        predicted_s=0.1,
    )
    outputs = engine.run(plan)
    for name in payloads:
        engine.release(name)
    return {output.request_id: output.values for output in outputs}


def payloads_of(boarding, head=None):
    codec = boarding.cards[0].codec
    return {text: EncodePayload(token_ids=codec.encode(text), head=head) for text in TEXTS}


def test_embeddings_are_transformers_own(board, encoder_folder, placement):
    boarding = board(encoder_folder)
    found = run(boarding.engines["tiny"], "tiny", payloads_of(boarding))
    base = load_encoder(encoder_folder, placement)
    for text in TEXTS:
        inputs = base.tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            hidden = base.model(**inputs).last_hidden_state[0]
        expected = torch.nn.functional.normalize(hidden.mean(dim=0), dim=0)
        np.testing.assert_allclose(found[text], expected.numpy(), atol=1e-5)


def test_a_batch_changes_nothing(board, encoder_folder):
    boarding = board(encoder_folder)
    payloads = payloads_of(boarding)
    together = run(boarding.engines["tiny"], "tiny", payloads)
    for text, payload in payloads.items():
        alone = run(boarding.engines["tiny"], "tiny", {text: payload})
        np.testing.assert_allclose(together[text], alone[text], atol=1e-5)


def test_heads_share_a_batch_with_embeddings(board, encoder_folder, make_probe):
    boarding = board(encoder_folder, make_probe("first", 1), make_probe("second", 2))
    assert list(boarding.engines) == ["tiny"]
    assert [limits.model for limits in boarding.limits] == ["tiny"]
    ids = boarding.cards[0].codec.encode("good film")
    found = run(
        boarding.engines["tiny"],
        "tiny",
        {name or "vector": EncodePayload(token_ids=ids, head=name) for name in
         (None, "first", "second")},
    )  # fmt: skip
    assert math.isclose(np.linalg.norm(found["vector"]), 1.0, rel_tol=1e-5)
    assert found["first"].shape == found["second"].shape == (2,)
    assert math.isclose(found["first"].sum(), 1.0, rel_tol=1e-5)
    assert abs(found["first"] - found["second"]).max() > 1e-3


def test_an_adapter_computes_what_peft_computes(board, encoder_folder, make_lora, placement):
    folder, peft_model = make_lora("tuned", 5)
    boarding = board(encoder_folder, folder)
    found = run(boarding.engines["tuned"], "tuned", payloads_of(boarding, head="tuned"))
    head = boarding.engines["tuned"]._heads["tuned"]
    base = load_encoder(encoder_folder, placement)
    for text in TEXTS:
        inputs = base.tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            hidden = peft_model(**inputs).last_hidden_state
        pooled = sentence_embedding(hidden, inputs.attention_mask)[0]
        expected = torch.softmax(head.weight_LD @ pooled + head.bias_L, dim=0)
        np.testing.assert_allclose(found[text], expected.numpy(), atol=1e-5)


def test_an_adapter_leaves_the_shared_base_alone(board, encoder_folder, make_lora):
    alone = board(encoder_folder)
    before = run(alone.engines["tiny"], "tiny", payloads_of(alone))
    boarding = board(encoder_folder, make_lora("tuned")[0])
    run(boarding.engines["tuned"], "tuned", payloads_of(boarding, head="tuned"))
    after = run(boarding.engines["tiny"], "tiny", payloads_of(boarding))
    for text in TEXTS:
        np.testing.assert_array_equal(before[text], after[text])


def test_the_base_is_weighed_once(board, encoder_folder, make_lora, make_probe):
    boarding = board(encoder_folder, make_probe("head"), make_lora("tuned")[0])
    weights = [line for line in boarding.lines if line.part == "encoder"]
    assert len(weights) == 1
    by_part = {(line.model, line.part): line.num_bytes for line in boarding.lines}
    assert by_part["head", "head"] == 4 * (2 * 24 + 2)
    # per layer: four 24 to 24, one 24 to 48, one 48 to 24, each with r (in + out) numbers
    assert by_part["tuned", "LoRA adapter"] == 4 * 2 * 3 * (4 * 48 + 2 * 72)


def test_an_unknown_head_is_refused(board, encoder_folder):
    boarding = board(encoder_folder)
    request = EncodeRequest(request_id="a", model="tiny", arrival_s=0.0, num_tokens=3)
    with pytest.raises(ConfigError, match="no head 'mood'"):
        boarding.engines["tiny"].admit(request, EncodePayload(token_ids=(2, 5, 3), head="mood"))


def test_tokens_and_sizes_must_agree(board, encoder_folder):
    boarding = board(encoder_folder)
    request = EncodeRequest(request_id="a", model="tiny", arrival_s=0.0, num_tokens=9)
    with pytest.raises(ConfigError, match="says 9 tokens and has 3"):
        boarding.engines["tiny"].admit(request, EncodePayload(token_ids=(2, 5, 3)))


def test_a_released_text_cannot_run(board, encoder_folder):
    boarding = board(encoder_folder)
    request = EncodeRequest(request_id="a", model="tiny", arrival_s=0.0, num_tokens=3)
    engine = boarding.engines["tiny"]
    engine.admit(request, EncodePayload(token_ids=(2, 5, 3)))
    engine.release("a")
    plan = StepPlan(
        step_id=1,
        kind=StepKind.ENCODE,
        model="tiny",
        lane=0,
        batch=EncoderBatch(texts=("a",)),
        shape=EncoderShape(batch=1, tokens=3),
        predicted_s=0.1,
    )
    with pytest.raises(ExecutorError, match="not admitted"):
        engine.run(plan)


def test_another_thread_wears_nothing(board, encoder_folder, make_lora):
    """The image model's prompts may go through the same weights on another lane."""
    boarding = board(encoder_folder, make_lora("tuned")[0])
    shared = boarding.engines["tuned"]._shared
    ids = torch.tensor([[2, 5, 11, 3]])

    def states():
        with torch.no_grad():
            return shared.base.model(input_ids=ids, attention_mask=torch.ones_like(ids))[0]

    bare = states()
    with shared.adapters.wearing("tuned"), ThreadPoolExecutor(1) as other:
        assert torch.equal(other.submit(states).result(), bare)
        assert not torch.equal(states(), bare)
