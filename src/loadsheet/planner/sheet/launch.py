"""Who runs a group of a plan: our server one device with a text and an image model, vLLM a language
model over several devices."""

from enum import StrEnum

from loadsheet.cost.ledger import Owner
from loadsheet.planner.plan import PlannedGroup

MODELS = "/models"


class Runner(StrEnum):
    OURS = "loadsheet"
    VLLM = "vllm"
    NOBODY = "nobody"  # planned and simulated, but nothing here serves it


def runner(group: PlannedGroup) -> Runner:
    replicas = group.replicas
    num_text, num_images = len(replicas.text), len(replicas.images)
    if replicas.num_devices == 1 and num_text <= 1 and num_images <= 1:
        return Runner.OURS
    return Runner.VLLM if num_text == 1 and num_images == 0 else Runner.NOBODY


def kv_bytes(group: PlannedGroup, model: str) -> int:
    """Of one device."""
    return sum(
        line.num_bytes
        for line in group.ledger
        if line.owner is Owner.KV_BLOCKS and line.model == model
    )


def vllm_arguments(group: PlannedGroup, models: str = MODELS) -> list[str]:
    """The plan's limits as flags of `vllm serve`."""
    replicas, (limits,) = group.replicas, group.replicas.text
    return [
        f"{models}/{limits.model}",
        f"--served-model-name={limits.model}",
        f"--tensor-parallel-size={replicas.tp}",
        f"--pipeline-parallel-size={replicas.pp}",
        f"--kv-cache-memory-bytes={kv_bytes(group, limits.model)}",
        f"--max-num-seqs={limits.max_num_seqs}",
        f"--max-model-len={limits.max_context_tokens}",
        f"--max-num-batched-tokens={max(limits.max_chunk_tokens, limits.max_num_seqs)}",
    ]
