"""`/v1/classify` (and `/classify`): vLLM's shape, one row of probabilities per input."""

from loadsheet.runtime.update import Encoded
from loadsheet.server import unsupported
from loadsheet.server.body import parse
from loadsheet.server.catalog import ModelCatalog
from loadsheet.server.encoder_body import EncoderBody, EncoderCall, encoder_call
from loadsheet.server.job import Job
from loadsheet.server.text_body import CallContext


def read_classification(body: bytes, catalog: ModelCatalog, context: CallContext) -> EncoderCall:
    """The call that a body asks for; raises ApiError."""
    asked = parse(EncoderBody, body)
    ignored = unsupported.sift(asked.extras(), unsupported.ENCODERS)
    return encoder_call(asked, catalog.classifier(asked.model), context, ignored)


async def whole_classification(call: EncoderCall, job: Job) -> dict[str, object]:
    """The reply once every input is classified; raises ApiError when the device fails."""
    rows: dict[int, dict[str, object]] = {}
    labels = call.card.labels
    async for index, update in job.updates():
        if isinstance(update, Encoded):
            rows[index] = {
                "index": index,
                "label": labels[int(update.values.argmax())],
                "probs": update.values.tolist(),
                "num_classes": len(labels),
            }
    return {
        "id": call.call_id,
        "object": "list",
        "created": call.created,
        "model": call.card.name,
        "data": [rows[index] for index in range(len(call.tasks))],
        "usage": {
            "prompt_tokens": call.num_tokens,
            "total_tokens": call.num_tokens,
            "completion_tokens": 0,
            "prompt_tokens_details": None,
        },
    }
