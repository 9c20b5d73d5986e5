"""Whole requests of different models on one device: what a reply is beside an image.

Sentences are computed from the explanations: what each is bound by, and what one costs in the
other's terms.
"""

from collections.abc import Sequence

from loadsheet.cost.explain import Explanation
from loadsheet.cost.phase import Phase
from loadsheet.units import format_bytes, format_seconds


def sentences(shown: Sequence[Explanation]) -> list[str]:
    said = [_portrait(one) for one in shown]
    first = shown[0]
    said += [
        f"One {first.model} request takes {first.flops / other.flops:.3g} times the FLOPs and "
        f"{first.seconds / other.seconds:.3g} times the expected time of {other.model}."
        for other in shown[1:]
    ]
    replies = [one for one in shown if "tpot_s" in one.facts]
    images = [one for one in shown if "s_per_image" in one.facts]
    said += [line for reply in replies for image in images for line in _together(reply, image)]
    return said


def _portrait(one: Explanation) -> str:
    longest = max(one.phases, key=lambda part: part.total_seconds)
    return (
        f"{one.model}: {longest.total_seconds / one.seconds:.0%} of the time is {longest.name}, "
        f"at {longest.intensity:.3g} FLOP per byte on the {longest.bound_by} side of the ridge "
        f"({longest.ridge:.0f}), using {_used(longest, one):.1%} of peak arithmetic."
    )


def _used(part: Phase, one: Explanation) -> float:
    peak = part.ridge * one.device.memory_bytes_per_s * one.stack.tp
    return part.flops / part.seconds / peak


def _together(reply: Explanation, image: Explanation) -> list[str]:
    """Both on one device: who waits for whom, and whether both fit."""
    pause = max(part.seconds for part in image.phases)
    name = max(image.phases, key=lambda part: part.seconds).name
    tpot_s = reply.facts["tpot_s"]
    both = reply.ledger.total_bytes() + image.ledger.total_bytes()
    fits = "fit" if both <= image.device.memory_bytes else "do not fit"
    lines = [
        f"In the time of one {image.model} request the device runs "
        f"{image.seconds / reply.seconds:.3g} {reply.model} requests one after the other.",
        f"A token of {reply.model} takes {format_seconds(tpot_s)}; the longest pass of "
        f"{image.model} ({name}) takes {format_seconds(pause)}, {pause / tpot_s:.3g} tokens' time: "
        "that is how long a token waits behind it on a shared device.",
        f"Together they hold {format_bytes(both)} and {fits} into "
        f"{format_bytes(image.device.memory_bytes)}.",
    ]
    many = reply.facts.get("saturated_tokens_per_s")
    if many:
        lines.append(
            f"Saturated ({reply.facts['saturated_batch']:.0f} sequences), the same time gives "
            f"{many * image.seconds / reply.work.output_tokens:.3g} replies: batching pays for "
            "decoding, which reads the weights once for all, and hardly for denoising."
        )
    return lines
