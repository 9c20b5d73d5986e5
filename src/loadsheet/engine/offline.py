"""Text or an image without a server: one model, one request, the plain loops."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from loadsheet.engine.image.draw import draw
from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.engine.image.pipeline_folder import open_pipeline
from loadsheet.engine.text.decoder import Decoder
from loadsheet.engine.text.generate import generate
from loadsheet.engine.text.tokenizer import FolderTokenizer
from loadsheet.engine.text.weights import load_decoder
from loadsheet.engine.torch_device import Placement
from loadsheet.errors import CapacityError, ConfigError
from loadsheet.runtime.adapter_host import AdapterRef
from loadsheet.runtime.model_card import ChatMessage
from loadsheet.runtime.payload import ImagePayload, Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """A decoder with its tokenizer."""

    decoder: Decoder
    tokenizer: FolderTokenizer

    @classmethod
    def open(cls, folder: Path, placement: Placement) -> "Writer":
        return cls(decoder=load_decoder(folder, placement), tokenizer=FolderTokenizer(folder))

    def prompt_ids(self, prompt: str, *, is_chat: bool) -> tuple[int, ...]:
        if is_chat:
            return self.tokenizer.encode_chat([ChatMessage(role="user", content=prompt)])
        return self.tokenizer.encode(prompt)

    def write(
        self, prompt_ids: tuple[int, ...], max_output_tokens: int, sampling: Sampling
    ) -> Iterator[str]:
        """One piece of text per token; empty while a character is incomplete."""
        limit = self.decoder.config.max_context_tokens
        if not prompt_ids:
            raise ConfigError("the prompt is empty; give at least one word")
        if len(prompt_ids) + max_output_tokens > limit:
            raise CapacityError(
                f"{len(prompt_ids)} prompt tokens and {max_output_tokens} new ones exceed the "
                f"context of {limit}; shorten the prompt or lower --max-tokens"
            )
        detokenizer = self.tokenizer.detokenizer()
        for token_id in generate(
            self.decoder,
            prompt_ids,
            max_output_tokens=max_output_tokens,
            sampling=sampling,
            eos_ids=self.tokenizer.eos_ids,
        ):
            yield detokenizer.feed(token_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Painter:
    """A text-to-image pipeline, its defaults, and the adapter it wears."""

    pipeline: ImagePipeline
    adapter: str | None = None

    @classmethod
    def open(
        cls, folder: Path, placement: Placement, adapter: AdapterRef | None = None
    ) -> "Painter":
        pipeline = open_pipeline(folder, placement)
        if adapter is None:
            return cls(pipeline=pipeline)
        pipeline.denoise.adapters.load(adapter.name, adapter.folder)
        return cls(pipeline=pipeline, adapter=adapter.name)

    def paint(
        self, payload: ImagePayload, on_step: Callable[[int, int], None]
    ) -> npt.NDArray[np.uint8]:
        """Pixels [height, width, 3]."""
        size = (payload.width, payload.height)
        if size not in self.pipeline.sizes:
            known = ", ".join(f"{width}x{height}" for width, height in self.pipeline.sizes)
            raise ConfigError(f"size is {size[0]}x{size[1]}; this model draws {known}")
        return draw(self.pipeline, payload, on_step, self.adapter)
