"""A byte-level BPE tokenizer from GGUF metadata, as the files `tokenizers` and others read.

GGUF names the pre-tokenizer instead of describing it. "smollm" splits every digit off before the
GPT-2 pattern runs. Leaving that out changes few texts, but common ones: in "\\n\\n1." the two line
breaks are one token for the model, and two for a tokenizer without the digit rule.
"""

from loadsheet.engine.assets.gguf_file import GgufFile
from loadsheet.errors import AssetError

_CONTROL_TOKEN = 3  # tokenizer.ggml.token_type
_BYTE_LEVEL: dict[str, object] = {
    "type": "ByteLevel",
    "add_prefix_space": False,
    "trim_offsets": True,
    "use_regex": True,
}
_PRE_TOKENIZERS: dict[str, list[dict[str, object]]] = {
    "smollm": [{"type": "Digits", "individual_digits": True}, _BYTE_LEVEL],
    "gpt-2": [_BYTE_LEVEL],
}


def tokenizer_table(gguf: GgufFile) -> dict[str, object]:
    """tokenizer.json."""
    tokens = gguf.texts("tokenizer.ggml.tokens")
    name = gguf.text("tokenizer.ggml.pre")
    if gguf.text("tokenizer.ggml.model") != "gpt2" or name not in _PRE_TOKENIZERS:
        raise AssetError(f"the GGUF tokenizer {name!r} is unknown; known: {list(_PRE_TOKENIZERS)}")
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": _added_tokens(gguf, tokens),
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": _PRE_TOKENIZERS[name]},
        "post_processor": None,
        "decoder": _BYTE_LEVEL | {"add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: token_id for token_id, token in enumerate(tokens)},
            "merges": [line.split(" ") for line in gguf.texts("tokenizer.ggml.merges")],
        },
    }


def tokenizer_config(gguf: GgufFile) -> dict[str, object]:
    """tokenizer_config.json. This class takes tokenizer.json as it is; GPT2Tokenizer would not."""
    tokens = gguf.texts("tokenizer.ggml.tokens")
    names = {"bos_token": "bos", "eos_token": "eos", "pad_token": "padding", "unk_token": "unknown"}
    special = {
        ours: tokens[gguf.integer(f"tokenizer.ggml.{theirs}_token_id")]
        for ours, theirs in names.items()
    }
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": gguf.integer("llama.context_length"),
        "clean_up_tokenization_spaces": False,
        **special,
    }


def _added_tokens(gguf: GgufFile, tokens: list[str]) -> list[dict[str, object]]:
    kinds = gguf.texts("tokenizer.ggml.token_type")
    return [
        {
            "id": token_id,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for token_id, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
        if int(kind) == _CONTROL_TOKEN
    ]
