"""Encoder steps: one padded batch through one encoder, then each request's own end.

                       ┌─► unit length            embeddings
    ids ─► encoder ─► pooled ─► head "sentiment"  probabilities
           (+ adapter) └─► head "spam"            probabilities

Every engine of one base shares its weights. Heads are small, so texts for different heads go
through the encoder in one batch; texts for different adapters do not.

Shapes: B texts, T tokens, D hidden, L labels.
"""

import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from loadsheet.engine.encoder.classifier_folder import Head
from loadsheet.engine.encoder.encoder_folder import LoadedEncoder
from loadsheet.engine.encoder.pooling import sentence_embedding
from loadsheet.engine.image.component import num_weight_bytes
from loadsheet.engine.image.lora import Adapters
from loadsheet.engine.image.text_encoder import States
from loadsheet.errors import ConfigError, ExecutorError
from loadsheet.runtime.executor import EncoderOutput, FailedOutput, StepOutput
from loadsheet.runtime.payload import EncodePayload
from loadsheet.sched.plan import EncoderBatch, StepPlan
from loadsheet.workload.request import EncodeRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedEncoder:
    """One base with all that its engines may add to it. `states` computes the same as its model
    without adapters, in another way, on a share of the device."""

    base: LoadedEncoder
    adapters: Adapters
    states: Mapping[float, States] = field(default_factory=dict)

    @property
    def weight_bytes(self) -> int:
        return num_weight_bytes(self.base.model)


class EncoderEngine:
    """One base wearing one adapter, or none. `admit` and `release` come from the loop's thread."""

    def __init__(
        self, shared: SharedEncoder, heads: Mapping[str, Head], adapter: str | None = None
    ) -> None:
        self._shared = shared
        self._adapter = adapter
        self._device = next(shared.base.model.parameters()).device
        self._heads = {name: _placed(head, self._device) for name, head in heads.items()}
        self._payloads: dict[str, EncodePayload] = {}
        self._lock = threading.Lock()

    def admit(self, request: EncodeRequest, payload: EncodePayload) -> None:
        if payload.head is not None and payload.head not in self._heads:
            raise ConfigError(
                f"{request.model} has no head {payload.head!r}; it has {', '.join(self._heads)}"
            )
        if len(payload.token_ids) != request.num_tokens:
            raise ConfigError(
                f"request {request.request_id} says {request.num_tokens} tokens and has "
                f"{len(payload.token_ids)}"
            )
        with self._lock:
            self._payloads[request.request_id] = payload

    def release(self, request_id: str) -> None:
        with self._lock:
            self._payloads.pop(request_id, None)

    @torch.inference_mode()
    def run(self, plan: StepPlan) -> tuple[StepOutput, ...]:
        if not isinstance(plan.batch, EncoderBatch):
            raise ExecutorError(f"{plan.model} is an encoder; it cannot run {plan.kind}")
        with self._lock:
            payloads = [_find(self._payloads, request_id) for request_id in plan.batch.texts]
        pooled_BD = self._pool(payloads, plan.share)
        return tuple(
            self._output(request_id, payload, pooled_D)
            for request_id, payload, pooled_D in zip(
                plan.batch.texts, payloads, pooled_BD, strict=True
            )
        )

    def _pool(self, payloads: list[EncodePayload], share: float) -> Tensor:
        """float32 [B, D] of length sqrt(D)."""
        rows = [torch.tensor(payload.token_ids) for payload in payloads]
        pad_id = self._shared.base.tokenizer.pad_token_id
        ids_BT = pad_sequence(rows, batch_first=True, padding_value=pad_id)
        lengths_B1 = torch.tensor([[len(row)] for row in rows])
        mask_BT = (torch.arange(ids_BT.shape[1])[None] < lengths_B1).long()
        ids_BT, mask_BT = ids_BT.to(self._device), mask_BT.to(self._device)
        return sentence_embedding(self._states(ids_BT, mask_BT, share), mask_BT)

    def _states(self, ids_BT: Tensor, mask_BT: Tensor, share: float) -> Tensor:
        compiled = self._shared.states.get(share)
        if compiled is not None and self._adapter is None:
            return compiled(ids_BT, mask_BT)
        with self._shared.adapters.wearing(self._adapter):
            answer = self._shared.base.model(input_ids=ids_BT, attention_mask=mask_BT)
        states_BTD: Tensor = answer.last_hidden_state
        return states_BTD

    def _output(self, request_id: str, payload: EncodePayload, pooled_D: Tensor) -> StepOutput:
        if payload.head is None:
            values = pooled_D / math.sqrt(len(pooled_D))
        else:
            head = self._heads[payload.head]
            values = torch.softmax(head.weight_LD @ pooled_D + head.bias_L, dim=-1)
        if not bool(torch.isfinite(values).all()):
            return FailedOutput(
                request_id=request_id, message="the encoder gave infinite or undefined numbers"
            )
        return EncoderOutput(request_id=request_id, values=values.cpu().numpy().astype(np.float32))


def _placed(head: Head, device: torch.device) -> Head:
    return Head(weight_LD=head.weight_LD.to(device), bias_L=head.bias_L.to(device))


def _find(payloads: Mapping[str, EncodePayload], request_id: str) -> EncodePayload:
    if request_id not in payloads:
        raise ExecutorError(f"{request_id} was planned but is not admitted")
    return payloads[request_id]
