"""Encoders through OpenVINO beside the same in torch, on random weights in float32."""

import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pad_sequence

from loadsheet.engine.cpu_cores import CpuShare
from loadsheet.engine.device import open_device
from loadsheet.engine.encoder.encoder_folder import load_encoder
from loadsheet.engine.openvino.token_states import open_states
from loadsheet.runtime.device_config import DeviceConfig
from loadsheet.runtime.payload import EncodePayload
from loadsheet.sched.plan import EncoderBatch, EncoderShape, StepKind, StepPlan
from loadsheet.workload.request import EncodeRequest

TOLERANCE = 1e-5  # states have size about 1
TEXTS = ("a good film", "bad", "the phone was very very good and it is not awful")


@torch.inference_mode()
@pytest.mark.parametrize("lengths", [(3,), (2, 9, 5), (32, 1)])
def test_padded_batches_of_any_shape_equal_torch(encoder_folder, placement, tmp_path, lengths):
    model = load_encoder(encoder_folder, placement).model
    states, num_bytes = open_states(
        encoder_folder,
        model,
        precision="fp32",
        cache_dir=tmp_path,
        shares={0.5: CpuShare(num_threads=1)},
    )
    # unused token types and the like are left out
    assert num_bytes >= 0.9 * sum(parameter.nbytes for parameter in model.parameters())
    ids_BT = pad_sequence([torch.arange(1, n + 1) % 7 for n in lengths], batch_first=True)
    mask_BT = pad_sequence([torch.ones(n, dtype=torch.int64) for n in lengths], batch_first=True)
    expected_BTD = model(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state
    found_BTD = states[0.5](ids_BT, mask_BT)
    is_token_BT = mask_BT.bool()
    gap = (found_BTD - expected_BTD)[is_token_BT].abs().max()
    assert gap <= TOLERANCE


def test_a_device_embeds_and_classifies_as_torch_does(
    encoder_folder, make_probe, make_lora, tmp_path
):
    """The head shares the compiled encoder; the adapter is worn in torch."""
    folders = (make_probe("head", 1), make_lora("tuned", 5)[0])
    found, expected = (
        answers(encoder_folder, folders, engine, tmp_path) for engine in ("openvino", "torch")
    )
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        np.testing.assert_allclose(found[key], values, atol=TOLERANCE)
    assert list(tmp_path.glob("**/graph.xml"))


def answers(encoder_folder, folders, engine, cache_dir):
    config = DeviceConfig(
        embed=str(encoder_folder),
        classify=folders,
        engine=engine,
        device="cpu",
        dtype="fp32",
        num_threads=1,
        cache_dir=cache_dir,
    )
    device = open_device(config, lambda phase: None)
    answers = {}
    for card in device.cards:
        payloads = {
            text: EncodePayload(
                token_ids=card.codec.encode(text), head=card.name if card.labels else None
            )
            for text in TEXTS
        }
        for text, payload in payloads.items():
            request = EncodeRequest(
                request_id=text,
                model=card.group,
                arrival_s=0.0,
                num_tokens=len(payload.token_ids),
            )
            device.executor.admit(request, payload)
        plan = StepPlan(
            step_id=1,
            kind=StepKind.ENCODE,
            model=card.group,
            lane=0,
            batch=EncoderBatch(texts=TEXTS),
            shape=EncoderShape(batch=len(TEXTS), tokens=16),
            predicted_s=0.1,
        )
        for output in device.executor.run(plan).outputs:
            answers[card.name, output.request_id] = output.values
        for text in TEXTS:
            device.executor.release(text)
    return answers
