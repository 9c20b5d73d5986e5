"""`/v1/embeddings`: OpenAI's shape. The official client asks for base64 by default."""

import base64
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from loadsheet.runtime.update import Encoded
from loadsheet.server import unsupported
from loadsheet.server.body import Text, parse
from loadsheet.server.catalog import ModelCatalog
from loadsheet.server.encoder_body import EncoderBody, EncoderCall, encoder_call
from loadsheet.server.errors import invalid
from loadsheet.server.errors import unsupported as unsupported_error
from loadsheet.server.job import Job
from loadsheet.server.text_body import CallContext


class EmbeddingBody(EncoderBody):
    encoding_format: Text | None = None
    dimensions: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingCall:
    """`is_base64`: little-endian float32, as numpy reads it; else a list of numbers."""

    call: EncoderCall
    is_base64: bool


def read_embedding(body: bytes, catalog: ModelCatalog, context: CallContext) -> EmbeddingCall:
    """The call that a body asks for; raises ApiError."""
    asked = parse(EmbeddingBody, body)
    ignored = unsupported.sift(asked.extras(), unsupported.ENCODERS)
    if asked.encoding_format not in (None, "float", "base64"):
        raise invalid("encoding_format: give 'float' or 'base64'", "encoding_format")
    card = catalog.embedding(asked.model)
    if asked.dimensions not in (None, card.embedding_size):
        raise unsupported_error(
            f"dimensions is {asked.dimensions}; {card.name} gives {card.embedding_size} and was "
            "not trained to be cut",
            "dimensions",
        )
    return EmbeddingCall(
        call=encoder_call(asked, card, context, ignored),
        is_base64=asked.encoding_format == "base64",
    )


async def whole_embeddings(asked: EmbeddingCall, job: Job) -> dict[str, object]:
    """The reply once every input is encoded; raises ApiError when the device fails."""
    vectors: dict[int, object] = {}
    async for index, update in job.updates():
        if isinstance(update, Encoded):
            vectors[index] = _written(update.values, is_base64=asked.is_base64)
    call = asked.call
    return {
        "object": "list",
        "model": call.card.name,
        "data": [
            {"object": "embedding", "index": index, "embedding": vectors[index]}
            for index in range(len(call.tasks))
        ],
        "usage": {"prompt_tokens": call.num_tokens, "total_tokens": call.num_tokens},
    }


def _written(values: npt.NDArray[np.float32], *, is_base64: bool) -> object:
    if is_base64:
        return base64.b64encode(values.astype("<f4").tobytes()).decode("ascii")
    return values.tolist()
