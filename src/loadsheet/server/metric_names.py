"""Prefixes and fixed labels of the exported series; autoscalers key on them, colons included."""

VLLM = "vllm:"
OMNI = "vllm_omni:"
OWN = "loadsheet:"
ENGINE = "0"  # vLLM numbers its data-parallel engines; this process is one
