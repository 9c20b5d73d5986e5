"""Decoder specs from `config.json`: Llama and the families that grew from it."""

from collections.abc import Iterable
from dataclasses import replace

from loadsheet.errors import SpecError
from loadsheet.specs.decoder import (
    DecoderSpec,
    DenseMlp,
    Experts,
    GroupedAttention,
    LatentAttention,
    LayerGroup,
    ModuleNames,
    QkNorm,
)
from loadsheet.specs.hf_config import HfConfig

Layer = tuple[GroupedAttention | LatentAttention, DenseMlp | Experts]


def group(layers: Iterable[Layer]) -> tuple[LayerGroup, ...]:
    """Equal layers counted together, in order of first appearance."""
    counts: dict[Layer, int] = {}
    for layer in layers:
        counts[layer] = counts.get(layer, 0) + 1
    return tuple(
        LayerGroup(count=count, attention=attention, feed_forward=feed_forward)
        for (attention, feed_forward), count in counts.items()
    )


def read_attention(config: HfConfig, *, qk_norm: QkNorm = QkNorm.NONE) -> GroupedAttention:
    heads = config.positive("num_attention_heads")
    if not config.has("head_dim"):
        config.multiple("hidden_size", "num_attention_heads")
    kv_heads = config.positive("num_key_value_heads", heads)
    if heads % kv_heads:
        raise SpecError(
            f"{config.where}: {heads} heads cannot share {kv_heads} key-value heads; "
            "the heads must be a multiple"
        )
    bias = config.flag("attention_bias", False)
    return GroupedAttention(
        heads=heads,
        kv_heads=kv_heads,
        head_dim=config.positive("head_dim", config.positive("hidden_size") // heads),
        has_qkv_bias=bias,
        has_out_bias=bias,
        qk_norm=qk_norm,
    )


def read_mlp(config: HfConfig) -> DenseMlp:
    return DenseMlp(
        width=config.positive("intermediate_size"), has_bias=config.flag("mlp_bias", False)
    )


def read_spec(config: HfConfig, layers: Iterable[Layer], *, tied: bool = False) -> DecoderSpec:
    """The parts that Llama and its many children share."""
    return DecoderSpec(
        family=config.text("model_type"),
        hidden_size=config.positive("hidden_size"),
        vocab_size=config.positive("vocab_size"),
        layers=group(layers),
        max_context=config.positive("max_position_embeddings"),
        is_tied=config.flag("tie_word_embeddings", tied),
    )


def repeat(config: HfConfig, layer: Layer) -> list[Layer]:
    return [layer] * config.positive("num_hidden_layers")


def llama(config: HfConfig) -> DecoderSpec:
    return read_spec(config, repeat(config, (read_attention(config), read_mlp(config))))


def mistral(config: HfConfig) -> DecoderSpec:
    window = config.positive("sliding_window") if config.has("sliding_window") else None
    attention = replace(read_attention(config), window=window)
    return read_spec(config, repeat(config, (attention, read_mlp(config))))


def mixtral(config: HfConfig) -> DecoderSpec:
    experts = Experts(
        num=config.positive("num_local_experts"),
        active=config.positive("num_experts_per_tok"),
        width=config.positive("intermediate_size"),
    )
    return read_spec(config, repeat(config, (read_attention(config), experts)))


def qwen2(config: HfConfig) -> DecoderSpec:
    attention = replace(read_attention(config), has_qkv_bias=True)
    return read_spec(config, repeat(config, (attention, read_mlp(config))))


def qwen2_moe(config: HfConfig) -> DecoderSpec:
    experts = Experts(
        num=config.positive("num_experts"),
        active=config.positive("num_experts_per_tok"),
        width=config.positive("moe_intermediate_size"),
        shared_width=config.positive("shared_expert_intermediate_size"),
        has_shared_gate=True,
    )
    attention = replace(read_attention(config), has_qkv_bias=True)
    return read_spec(config, repeat(config, (attention, experts)))


def qwen3(config: HfConfig) -> DecoderSpec:
    attention = read_attention(config, qk_norm=QkNorm.PER_HEAD)
    return read_spec(config, repeat(config, (attention, read_mlp(config))))


def qwen3_moe(config: HfConfig) -> DecoderSpec:
    experts = Experts(
        num=config.positive("num_experts"),
        active=config.positive("num_experts_per_tok"),
        width=config.positive("moe_intermediate_size"),
    )
    attention = read_attention(config, qk_norm=QkNorm.PER_HEAD)
    return read_spec(config, repeat(config, (attention, experts)))


def gemma(config: HfConfig) -> DecoderSpec:
    return read_spec(config, repeat(config, (read_attention(config), read_mlp(config))), tied=True)


def gemma2(config: HfConfig) -> DecoderSpec:
    """Every second layer looks at `sliding_window` tokens; a norm before and after each half."""
    full = read_attention(config)
    local = replace(full, window=config.positive("sliding_window", 4096))
    layers = [
        (local if index % 2 == 0 else full, read_mlp(config))
        for index in range(config.positive("num_hidden_layers"))
    ]
    return replace(read_spec(config, layers, tied=True), norms_per_layer=4)


def gemma3(config: HfConfig) -> DecoderSpec:
    """Five local layers for each global one."""
    full = read_attention(config, qk_norm=QkNorm.PER_HEAD)
    local = replace(full, window=config.positive("sliding_window"))
    every = config.positive("sliding_window_pattern", 6)
    layers = [
        (full if (index + 1) % every == 0 else local, read_mlp(config))
        for index in range(config.positive("num_hidden_layers"))
    ]
    return replace(read_spec(config, layers, tied=True), norms_per_layer=4)


def phi3(config: HfConfig) -> DecoderSpec:
    window = config.positive("sliding_window") if config.has("sliding_window") else None
    attention = replace(read_attention(config), window=window)
    spec = read_spec(config, repeat(config, (attention, read_mlp(config))))
    return replace(spec, names=ModuleNames(qkv=("qkv_proj",), up=("gate_up_proj",)))


def gpt_oss(config: HfConfig) -> DecoderSpec:
    """Sliding and full attention alternate; every head has a learned sink."""
    full = replace(read_attention(config), has_qkv_bias=True, has_out_bias=True, has_sinks=True)
    local = replace(full, window=config.positive("sliding_window", 128))
    experts = Experts(
        num=config.positive("num_local_experts"),
        active=config.positive("num_experts_per_tok"),
        width=config.positive("intermediate_size"),
        has_router_bias=True,
        has_bias=True,
    )
    layers: list[Layer] = [
        (local if index % 2 == 0 else full, experts)
        for index in range(config.positive("num_hidden_layers"))
    ]
    return read_spec(config, layers)


def deepseek(config: HfConfig) -> DecoderSpec:
    """V2 and V3: latent attention; the first `first_k_dense_replace` layers have a dense MLP."""
    attention = LatentAttention(
        heads=config.positive("num_attention_heads"),
        q_rank=config.positive("q_lora_rank") if config.has("q_lora_rank") else None,
        kv_rank=config.positive("kv_lora_rank"),
        nope_dim=config.positive("qk_nope_head_dim"),
        rope_dim=config.positive("qk_rope_head_dim"),
        value_dim=config.positive("v_head_dim"),
    )
    width = config.positive("moe_intermediate_size")
    experts = Experts(
        num=config.positive("n_routed_experts"),
        active=config.positive("num_experts_per_tok"),
        width=width,
        shared_width=width * config.integer("n_shared_experts", 0),
        has_correction=config.text("model_type") == "deepseek_v3",
    )
    dense = DenseMlp(width=config.positive("intermediate_size"))
    first = config.integer("first_k_dense_replace", 0)
    layers: list[Layer] = [
        (attention, dense if index < first else experts)
        for index in range(config.positive("num_hidden_layers"))
    ]
    return read_spec(config, layers)


def llama4(config: HfConfig) -> DecoderSpec:
    """Every `interleave_moe_layer_step`-th layer routes; three of four look at chunks."""
    full = read_attention(config)
    local = replace(full, window=config.positive("attention_chunk_size", 8192))
    experts = Experts(
        num=config.positive("num_local_experts"),
        active=config.positive("num_experts_per_tok"),
        width=config.positive("intermediate_size"),
        shared_width=config.positive("intermediate_size"),
    )
    dense = DenseMlp(width=config.positive("intermediate_size_mlp"))
    step = config.positive("interleave_moe_layer_step", 1)
    every = config.positive("no_rope_layer_interval", 4)
    layers: list[Layer] = [
        (
            full if (index + 1) % every == 0 else local,
            experts if (index + 1) % step == 0 else dense,
        )
        for index in range(config.positive("num_hidden_layers"))
    ]
    return replace(read_spec(config, layers), names=ModuleNames(mlp="feed_forward"))


def olmo2(config: HfConfig) -> DecoderSpec:
    """Norms stand behind each half instead of before it."""
    attention = read_attention(config, qk_norm=QkNorm.FULL)
    spec = read_spec(config, repeat(config, (attention, read_mlp(config))))
    names = ModuleNames(norms=("post_attention_layernorm", "post_feedforward_layernorm"))
    return replace(spec, names=names)
