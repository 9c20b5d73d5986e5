"""What to compute for a request: the half of it that the scheduler never sees."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the next token is drawn. Temperature 0 is greedy; `top_p` 1 and `top_k` None are off."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPayload:
    """Token ids of the whole prompt, and when to stop. Stop strings are cut from the output."""

    prompt_ids: tuple[int, ...]
    sampling: Sampling = Sampling()
    max_output_tokens: int = 16
    stop: tuple[str, ...] = ()
    is_eos_ignored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePayload:
    """The prompt and the seed; the same seed gives the same image, alone or in a batch."""

    prompt: str
    negative_prompt: str = ""
    width: int
    height: int
    num_steps: int
    guidance_scale: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodePayload:
    """Token ids with the special tokens; `head` names a classifier, None asks for the embedding."""

    token_ids: tuple[int, ...]
    head: str | None = None


Payload = TextPayload | ImagePayload | EncodePayload
