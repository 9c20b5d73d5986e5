import json

import pytest

from loadsheet.cost.case import FlopsAnswerer, answer_line

ANSWERERS = {"flops": FlopsAnswerer()}


def answer(**case) -> dict:
    return answer_line(json.dumps({"id": 7, **case}), ANSWERERS)


def flops(**changes) -> dict:
    case = {
        "case": "flops",
        "model": "Llama-2-7B",
        "component": "decoder",
        "shape": {"tokens": 1, "context": 2048, "batch": 1, "logits": "last"},
    }
    return answer(**{**case, **changes})


def test_an_answer_echoes_the_id():
    assert flops() == {"id": 7, "params": 6738415616, "gflops": 14.287896576}


def test_pictures():
    got = flops(
        model="sdxl",
        component="denoiser",
        shape={"width": 1024, "height": 1024, "batch": 1, "text_tokens": 77},
    )
    assert got["gflops"] == pytest.approx(6761.23639808)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "llama-2-8b"}, "llama-2-7b"),
        ({"model": 3}, "model is 3, expected a string"),
        ({"component": "denoiser"}, "only decoder"),
        ({"case": "flop"}, "nearest: flops"),
        ({"colour": "red"}, "unknown field 'colour'"),
        ({"shape": {"tokens": 0}}, "tokens is 0"),
        ({"shape": {"tokens": 2.5}}, "expected a whole number"),
        ({"shape": {"token": 2}}, "unknown field 'token'; nearest: tokens"),
        ({"shape": {"tokens": 2, "logits": "some"}}, "expected last or all"),
        ({"shape": [1]}, "expected an object"),
        ({"shape": {"width": 8, "height": 8}}, "takes tokens"),
    ],
)
def test_bad_cases_are_answered_with_the_reason(changes, message):
    got = flops(**changes)
    assert got["id"] == 7
    assert message in got["error"]


@pytest.mark.parametrize("line", ["", "{", "[1]", '"x"', "null"])
def test_bad_lines_are_answered_too(line):
    assert "error" in answer_line(line, ANSWERERS)
