"""Decoder specs from `config.json`: GPT-2 and its kin, with layer norms and plain MLPs."""

from dataclasses import replace

from loadsheet.specs.decoder import DecoderSpec, DenseMlp, GroupedAttention, ModuleNames, Norm
from loadsheet.specs.hf_config import HfConfig
from loadsheet.specs.hf_decoder import group, read_attention, read_spec, repeat


def phi(config: HfConfig) -> DecoderSpec:
    attention = replace(read_attention(config), has_qkv_bias=True, has_out_bias=True)
    mlp = DenseMlp(width=config.positive("intermediate_size"), is_gated=False, has_bias=True)
    return replace(
        read_spec(config, repeat(config, (attention, mlp))),
        norm=Norm.LAYER,
        norms_per_layer=1,  # attention and MLP run on the same normalised input
        has_head_bias=True,
        names=ModuleNames(out="dense", up=("fc1",), down="fc2", norm="model.final_layernorm"),
    )


def _gpt_names(qkv: tuple[str, ...], out: str) -> ModuleNames:
    return ModuleNames(
        embed="transformer.wte",
        positions="transformer.wpe",
        norms=("ln_1", "ln_2"),
        layers="transformer.h",
        attention="attn",
        qkv=qkv,
        out=out,
        up=("c_fc",) if out == "c_proj" else ("fc_in",),
        down="c_proj" if out == "c_proj" else "fc_out",
        norm="transformer.ln_f",
    )


def gpt2(config: HfConfig) -> DecoderSpec:
    config.multiple("n_embd", "n_head")
    width, heads = config.positive("n_embd"), config.positive("n_head")
    attention = GroupedAttention(
        heads=heads,
        kv_heads=heads,
        head_dim=width // heads,
        has_qkv_bias=True,
        has_out_bias=True,
    )
    mlp = DenseMlp(width=config.positive("n_inner", 4 * width), is_gated=False, has_bias=True)
    return DecoderSpec(
        family="gpt2",
        hidden_size=width,
        vocab_size=config.positive("vocab_size"),
        layers=group([(attention, mlp)] * config.positive("n_layer")),
        max_context=config.positive("n_positions"),
        norm=Norm.LAYER,
        num_positions=config.positive("n_positions"),
        is_tied=config.flag("tie_word_embeddings", True),
        names=_gpt_names(("c_attn",), "c_proj"),
    )


def gptj(config: HfConfig) -> DecoderSpec:
    config.multiple("n_embd", "n_head")
    width, heads = config.positive("n_embd"), config.positive("n_head")
    attention = GroupedAttention(heads=heads, kv_heads=heads, head_dim=width // heads)
    mlp = DenseMlp(width=config.positive("n_inner", 4 * width), is_gated=False, has_bias=True)
    return DecoderSpec(
        family="gptj",
        hidden_size=width,
        vocab_size=config.positive("vocab_size"),
        layers=group([(attention, mlp)] * config.positive("n_layer")),
        max_context=config.positive("n_positions"),
        norm=Norm.LAYER,
        norms_per_layer=1,
        is_tied=config.flag("tie_word_embeddings", False),
        has_head_bias=True,
        names=_gpt_names(("q_proj", "k_proj", "v_proj"), "out_proj"),
    )


def gpt_neox(config: HfConfig) -> DecoderSpec:
    bias = config.flag("attention_bias", True)
    attention = replace(read_attention(config), has_qkv_bias=bias, has_out_bias=bias)
    mlp = DenseMlp(width=config.positive("intermediate_size"), is_gated=False, has_bias=True)
    names = ModuleNames(
        embed="gpt_neox.embed_in",
        layers="gpt_neox.layers",
        attention="attention",
        qkv=("query_key_value",),
        out="dense",
        up=("dense_h_to_4h",),
        down="dense_4h_to_h",
        norm="gpt_neox.final_layer_norm",
        head="embed_out",
    )
    spec = read_spec(config, repeat(config, (attention, mlp)))
    return replace(spec, norm=Norm.LAYER, names=names)


def falcon(config: HfConfig) -> DecoderSpec:
    """`new_decoder_architecture` (40B, 180B) groups the keys and has two parallel norms."""
    heads, is_new = (
        config.positive("num_attention_heads"),
        config.flag("new_decoder_architecture", False),
    )
    config.multiple("hidden_size", "num_attention_heads")
    if is_new:
        kv_heads = config.positive("num_kv_heads", heads)
    else:
        kv_heads = 1 if config.flag("multi_query", True) else heads
    bias = config.flag("bias", False)
    width = config.positive("hidden_size")
    attention = GroupedAttention(
        heads=heads,
        kv_heads=kv_heads,
        head_dim=width // heads,
        has_qkv_bias=bias,
        has_out_bias=bias,
    )
    mlp = DenseMlp(
        width=config.positive("ffn_hidden_size", 4 * width), is_gated=False, has_bias=bias
    )
    is_single = config.flag("parallel_attn", True) and not is_new
    names = replace(
        _gpt_names(("query_key_value",), "dense"),
        embed="transformer.word_embeddings",
        norms=("ln_attn", "ln_mlp") if is_new else ModuleNames().norms,
        attention="self_attention",
        up=("dense_h_to_4h",),
        down="dense_4h_to_h",
    )
    return DecoderSpec(
        family="falcon",
        hidden_size=width,
        vocab_size=config.positive("vocab_size"),
        layers=group(repeat(config, (attention, mlp))),
        max_context=config.positive("max_position_embeddings", 2048),
        norm=Norm.LAYER,
        norms_per_layer=config.positive("num_ln_in_parallel_attn", 2 if is_new else 1)
        if is_new or is_single
        else 2,
        is_tied=config.flag("tie_word_embeddings", True),
        names=names,
    )


def opt(config: HfConfig) -> DecoderSpec:
    """OPT offsets its position table by two."""
    config.multiple("hidden_size", "num_attention_heads")
    attention = replace(read_attention(config), has_qkv_bias=True, has_out_bias=True)
    mlp = DenseMlp(width=config.positive("ffn_dim"), is_gated=False, has_bias=True)
    spec = read_spec(config, repeat(config, (attention, mlp)), tied=True)
    names = ModuleNames(
        embed="model.decoder.embed_tokens",
        positions="model.decoder.embed_positions",
        norms=("self_attn_layer_norm", "final_layer_norm"),
        mlp="",
        layers="model.decoder.layers",
        out="out_proj",
        up=("fc1",),
        down="fc2",
        norm="model.decoder.final_layer_norm",
    )
    positions = config.positive("max_position_embeddings") + 2
    return replace(spec, norm=Norm.LAYER, num_positions=positions, names=names)


def chatglm(config: HfConfig) -> DecoderSpec:
    """ChatGLM2 and 3: multi-query attention with biased projections, a gated MLP."""
    attention = GroupedAttention(
        heads=config.positive("num_attention_heads"),
        kv_heads=config.positive("multi_query_group_num"),
        head_dim=config.positive("kv_channels"),
        has_qkv_bias=config.flag("add_qkv_bias", False),
    )
    mlp = DenseMlp(width=config.positive("ffn_hidden_size"))
    return DecoderSpec(
        family="chatglm",
        hidden_size=config.positive("hidden_size"),
        vocab_size=config.positive("padded_vocab_size"),
        layers=group([(attention, mlp)] * config.positive("num_layers")),
        max_context=config.positive("seq_length"),
        names=ModuleNames(
            embed="transformer.embedding.word_embeddings",
            layers="transformer.encoder.layers",
            attention="self_attention",
            qkv=("query_key_value",),
            out="dense",
            up=("dense_h_to_4h",),
            down="dense_4h_to_h",
            norm="transformer.encoder.final_layernorm",
            head="transformer.output_layer",
        ),
    )
