import json

import pytest
from tokenizers import processors

from loadsheet.engine.text.tokenizer import FolderTokenizer
from loadsheet.errors import AssetError, ConfigError
from loadsheet.runtime.model_card import ChatMessage

HELLO = [ChatMessage(role="user", content="hello <b>")]


def update(path, **fields) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_text_round_trips(folder) -> None:
    tokenizer = FolderTokenizer(folder)
    token_ids = tokenizer.encode("grüß dich")
    assert len(token_ids) == len("grüß dich".encode())
    assert tokenizer.decode(token_ids) == "grüß dich"


def test_chat_is_rendered_with_the_generation_prompt(folder) -> None:
    tokenizer = FolderTokenizer(folder)
    turns = [*HELLO, ChatMessage(role="assistant", content="hi")]
    token_ids = tokenizer.encode_chat(turns)
    start = tokenizer.encode("<start>")
    assert len(start) == 1
    assert token_ids == tokenizer.encode("<start>user: hello <b>\n<start>assistant: hi\nassistant:")
    assert token_ids.count(start[0]) == 2


def test_special_tokens_are_added_to_plain_text_but_not_to_chats(folder) -> None:
    path = folder / "tokenizer.json"
    raw = json.loads(path.read_text())
    start_id = next(one["id"] for one in raw["added_tokens"] if one["content"] == "<start>")
    processor = processors.TemplateProcessing(
        single="<start> $A", special_tokens=[("<start>", start_id)]
    )
    raw["post_processor"] = json.loads(processor.__getstate__())
    path.write_text(json.dumps(raw))
    tokenizer = FolderTokenizer(folder)
    assert tokenizer.encode("a")[0] == start_id
    assert len(tokenizer.encode("a")) == 2
    assert tokenizer.encode_chat(HELLO).count(start_id) == 1  # the template's own


@pytest.mark.parametrize("place", ["file", "named"])
def test_where_a_template_may_live(folder, place) -> None:
    template = "{{ bos_token }}{{ messages[0]['content'] | tojson }}"
    config = folder / "tokenizer_config.json"
    if place == "file":
        (folder / "chat_template.jinja").write_text(template)  # wins over the config's
        update(config, bos_token={"content": "<start>"})
    else:
        named = [{"name": "tools", "template": "x"}, {"name": "default", "template": template}]
        update(config, bos_token="<start>", chat_template=named)
    tokenizer = FolderTokenizer(folder)
    assert tokenizer.encode_chat(HELLO) == tokenizer.encode('<start>"hello <b>"')


def test_a_template_cannot_leave_its_sandbox(folder) -> None:
    (folder / "chat_template.jinja").write_text("{{ messages.__class__.__mro__ }}")
    with pytest.raises(ConfigError, match="refused these messages"):
        FolderTokenizer(folder).encode_chat(HELLO)


def test_a_template_may_refuse_messages(folder) -> None:
    (folder / "chat_template.jinja").write_text("{{ raise_exception('roles must alternate') }}")
    with pytest.raises(ConfigError, match="roles must alternate"):
        FolderTokenizer(folder).encode_chat(HELLO)


def test_a_model_without_template_says_so(folder) -> None:
    update(folder / "tokenizer_config.json", chat_template=None)
    with pytest.raises(ConfigError, match="no chat template; use plain completions"):
        FolderTokenizer(folder).encode_chat(HELLO)


def test_a_broken_template_is_found_at_start(folder) -> None:
    (folder / "chat_template.jinja").write_text("{% for %}")
    with pytest.raises(AssetError, match=r"chat template in .* is broken"):
        FolderTokenizer(folder)


@pytest.mark.parametrize(
    ("generation", "config", "expected"),
    [
        ({"eos_token_id": [7, 9]}, {"eos_token_id": 3}, {7, 9}),
        ({"eos_token_id": 0}, {"eos_token_id": 3}, {0}),
        ({}, {"eos_token_id": 3}, {3}),
        ({}, {"eos_token_id": None}, {256}),  # <eos> of tokenizer_config.json
    ],
)
def test_where_end_tokens_come_from(folder, generation, config, expected) -> None:
    (folder / "generation_config.json").write_text(json.dumps(generation))
    update(folder / "config.json", **config)
    assert FolderTokenizer(folder).eos_ids == expected


def test_a_missing_or_damaged_tokenizer_is_named(folder) -> None:
    path = folder / "tokenizer.json"
    path.write_text("{}")
    with pytest.raises(AssetError, match=r"tokenizer\.json cannot be read"):
        FolderTokenizer(folder)
    path.unlink()
    with pytest.raises(AssetError, match=r"tokenizer\.json is missing"):
        FolderTokenizer(folder)
