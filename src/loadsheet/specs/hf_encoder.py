"""Encoder specs from `config.json`."""

from loadsheet.specs.encoder import BertSpec, ClipTextSpec, T5Spec
from loadsheet.specs.hf_config import HfConfig


def bert(config: HfConfig) -> BertSpec:
    """`architectures` decides about the head: sequence classification keeps two classes unless
    `num_labels` says otherwise."""
    config.multiple("hidden_size", "num_attention_heads")
    classifies = any("SequenceClassification" in str(a) for a in config.items("architectures", ()))
    return BertSpec(
        hidden_size=config.positive("hidden_size"),
        num_layers=config.positive("num_hidden_layers"),
        heads=config.positive("num_attention_heads"),
        width=config.positive("intermediate_size"),
        vocab_size=config.positive("vocab_size"),
        num_positions=config.positive("max_position_embeddings"),
        num_types=config.integer("type_vocab_size", 2),
        has_pooler=config.flag("add_pooling_layer", True),
        num_classes=config.integer("num_labels", 2) if classifies else 0,
    )


def clip_text(config: HfConfig) -> ClipTextSpec:
    config.multiple("hidden_size", "num_attention_heads")
    projects = any("WithProjection" in str(a) for a in config.items("architectures", ()))
    return ClipTextSpec(
        hidden_size=config.positive("hidden_size"),
        num_layers=config.positive("num_hidden_layers"),
        heads=config.positive("num_attention_heads"),
        width=config.positive("intermediate_size"),
        vocab_size=config.positive("vocab_size", 49408),
        num_positions=config.positive("max_position_embeddings", 77),
        projection_dim=config.positive("projection_dim") if projects else 0,
    )


def t5(config: HfConfig) -> T5Spec:
    return T5Spec(
        hidden_size=config.positive("d_model"),
        num_layers=config.positive("num_layers"),
        heads=config.positive("num_heads"),
        head_dim=config.positive("d_kv"),
        width=config.positive("d_ff"),
        is_gated=config.text("feed_forward_proj", "relu").startswith("gated"),
        vocab_size=config.positive("vocab_size"),
        num_buckets=config.positive("relative_attention_num_buckets", 32),
        has_bias_per_layer=config.text("model_type") == "umt5",
    )
