import base64
import re
from pathlib import Path

import numpy as np
import openai
import pytest

GOOD = "this was a very good film"


@pytest.fixture
def client(served):
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none") as made:
        yield made


def embed(served, **body):
    return served.http.post("/v1/embeddings", json={"model": "tiny", **body})


def classify(served, **body):
    return served.http.post("/v1/classify", json=body)


def test_the_openai_client_embeds(client):
    """The client asks for base64 by itself and gives numbers back."""
    reply = client.embeddings.create(model="tiny", input=[GOOD, "bad"])
    assert [one.index for one in reply.data] == [0, 1]
    assert len(reply.data[0].embedding) == 24
    assert np.linalg.norm(reply.data[0].embedding) == pytest.approx(1.0, rel=1e-5)
    assert reply.usage.prompt_tokens == reply.usage.total_tokens == 8 + 3


def test_encodings_agree(served):
    as_floats = embed(served, input=GOOD).json()["data"][0]["embedding"]
    as_base64 = embed(served, input=GOOD, encoding_format="base64").json()
    raw = base64.b64decode(as_base64["data"][0]["embedding"])
    np.testing.assert_allclose(np.frombuffer(raw, "<f4"), as_floats, atol=1e-6)


def test_text_and_its_tokens_are_the_same_input(served):
    by_text = embed(served, input="good film").json()["data"][0]["embedding"]
    for ids in ([2, 5, 11, 3], [5, 11], [[5, 11]]):  # special tokens are added where they lack
        reply = embed(served, input=ids).json()
        np.testing.assert_allclose(reply["data"][0]["embedding"], by_text, atol=1e-6)


def test_labels_have_vllms_shape(served):
    reply = classify(served, input=["good", "bad"]).json()
    assert (reply["object"], reply["model"]) == ("list", "mood")
    assert reply["id"].startswith("classify-")
    assert [row["index"] for row in reply["data"]] == [0, 1]
    for row in reply["data"]:
        assert row["num_classes"] == len(row["probs"]) == 2
        assert sum(row["probs"]) == pytest.approx(1.0, rel=1e-5)
        assert row["label"] == ("negative", "positive")[int(np.argmax(row["probs"]))]
    assert reply["usage"]["prompt_tokens"] == 6
    assert served.http.post("/classify", json={"input": "good"}).status_code == 200


def test_batching_changes_no_answer(served):
    texts = [GOOD, "bad", "a phone", "the awful tweet was not a book", "fine"]
    together = classify(served, input=texts).json()["data"]
    for text, row in zip(texts, together, strict=True):
        alone = classify(served, input=text).json()["data"][0]
        np.testing.assert_allclose(row["probs"], alone["probs"], atol=1e-5)


def test_models_are_listed_with_their_limits(served):
    listed = {one["id"]: one for one in served.http.get("/v1/models").json()["data"]}
    assert listed["tiny"]["kind"] == "embed"
    assert (listed["tiny"]["max_model_len"], listed["tiny"]["embedding_size"]) == (32, 24)
    assert listed["mood"]["kind"] == "classify"
    assert (listed["mood"]["max_model_len"], listed["mood"]["labels"]) == (
        12,
        ["negative", "positive"],
    )


@pytest.mark.parametrize(
    ("body", "param", "code", "words"),
    [
        ({"input": []}, "input", "invalid_value", "0 inputs; give 1 to 20"),
        ({"input": ["good"] * 21}, "input", "invalid_value", "21 inputs; give 1 to 20"),
        ({"input": ""}, "input[0]", "invalid_value", "empty"),
        ({"input": ["good", []]}, "input[1]", "invalid_value", "empty"),
        ({"input": 3}, "input", "invalid_value", "token ids"),
        ({"input": [True]}, "input", "invalid_value", "token ids"),
        ({"input": [5, 999]}, "input[0]", "invalid_value", "999"),
        ({}, "input", "missing_required_parameter", "required"),
        ({"input": "good " * 31}, "input[0]", "context_length_exceeded", "33 tokens"),
        ({"input": "good", "encoding_format": "int8"}, "encoding_format", "invalid_value", "flo"),
        ({"input": "good", "dimensions": 8}, "dimensions", "unsupported_parameter", "24"),
        ({"input": "good", "model": "mood"}, "model", "wrong_model_kind", "tiny"),
        ({"input": "good", "truncate_prompt_tokens": 99}, "truncate_prompt_tokens",
         "invalid_value", "32"),
        ({"input": "good", "slo": {"deadline_s": 0}}, "slo.deadline_s", "invalid_value", "greater"),
    ],
)  # fmt: skip
def test_refusals_name_field_and_limit(served, body, param, code, words):
    reply = embed(served, **body)
    error = reply.json()["error"]
    assert reply.status_code == 400
    assert (error["param"], error["code"]) == (param, code)
    assert words in error["message"]


def test_unknown_models_are_404(served):
    reply = classify(served, model="moood", input="good")
    assert reply.status_code == 404
    assert "'mood'" in reply.json()["error"]["message"]


def test_long_texts_are_cut_only_on_request(served):
    assert classify(served, input="good " * 30).status_code == 400
    cut = classify(served, input="good " * 30, truncate_prompt_tokens=-1).json()
    assert cut["usage"]["prompt_tokens"] == 12
    exact = classify(served, input="good " * 10).json()
    np.testing.assert_allclose(cut["data"][0]["probs"], exact["data"][0]["probs"], atol=1e-5)


def test_unused_fields_are_reported(served):
    reply = embed(served, input="good", user="me")
    assert reply.headers["X-Loadsheet-Ignored"] == "user"


def test_metrics_count_tokens_and_outcomes(served):
    name = 'loadsheet:encoder_tokens_total{kind="embed",model_name="tiny"}'
    done = 'loadsheet:requests_total{kind="classify"'
    tokens, requests = served.metric(name), served.metric(done)
    embed(served, input=["good", "good film"])
    classify(served, input="good")
    assert served.metric(name) == tokens + 3 + 4
    assert served.metric(done) == requests + 1
    assert served.metric("loadsheet:encoder_requests_waiting") == 0
    assert served.http.get("/load").json()["server_load"] == 0


def test_every_encoder_series_of_the_guide_is_exported(served):
    embed(served, input=GOOD)
    exported = served.http.get("/metrics").text
    guide = (Path(__file__).parents[3] / "docs/guide/api.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(loadsheet:encoder_\w+)`", guide))
    assert len(named) == 4
    missing = {name for name in named if not re.search(rf"^{name}(_count)?[{{ ]", exported, re.M)}
    assert missing == set()
