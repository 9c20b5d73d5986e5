"""Costs behave like costs: more work is never cheaper, and nothing ever crashes the run."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from loadsheet.cost.case import FlopsAnswerer, answer_line
from loadsheet.cost.components import operators
from loadsheet.cost.decoder import served_pairs
from loadsheet.cost.operator import total
from loadsheet.cost.seconds import bound_seconds
from loadsheet.cost.shape import PictureShape, Span, TokenShape
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.specs.catalog import Catalog

CATALOG = Catalog()
H100 = DeviceCatalog().find("h100-sxm-80gb")
DECODERS = ["llama-3-8b", "gemma-2-2b", "mixtral-8x7b", "deepseek-v2-lite", "gpt-oss-20b"]
IMAGES = ["sd-1.5", "sdxl", "pixart-sigma", "flux.1-dev", "sana-1.6b", "lumina-2"]
ANSWERERS = {"flops": FlopsAnswerer(catalog=CATALOG)}
sizes = st.integers(1, 4000)


@given(st.sampled_from(DECODERS), sizes, sizes, st.integers(1, 64), st.sampled_from(Span))
@settings(max_examples=60, deadline=None)
def test_more_tokens_are_never_cheaper(name, tokens, past, batch, span):
    (component,) = CATALOG.find(name).components()

    def price(tokens: int, past: int, batch: int) -> tuple[float, float, float]:
        shape = TokenShape(tokens=tokens, context=tokens + past, batch=batch, span=span)
        ops = operators(component, shape)
        return total(ops).flops, total(ops).bytes_read, bound_seconds(ops, H100)

    here = price(tokens, past, batch)
    for other in (price(tokens + 1, past, batch), price(tokens, past + 1, batch)):
        assert all(b >= a for a, b in zip(here, other, strict=True))
    assert all(b >= a for a, b in zip(here, price(tokens, past, batch + 1), strict=True))


@given(st.sampled_from(IMAGES), st.integers(1, 24), st.integers(1, 24), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_pictures_are_symmetric_and_grow(name, rows, columns, batch):
    component = CATALOG.component(name, "denoiser")

    def flops(rows: int, columns: int, batch: int) -> int:
        shape = PictureShape(width=64 * columns, height=64 * rows, batch=batch, text_tokens=77)
        return total(operators(component, shape)).flops

    assert flops(rows, columns, batch) == flops(columns, rows, batch)
    assert flops(rows, columns, batch) == batch * flops(rows, columns, 1)
    assert flops(rows + 1, columns, batch) > flops(rows, columns, batch)


@given(st.integers(1, 60), st.integers(0, 60), st.one_of(st.none(), st.integers(1, 80)))
def test_served_pairs_equal_the_sum(tokens, past, window):
    context = past + tokens
    seen = [
        min(position, window) if window else position for position in range(past + 1, context + 1)
    ]
    assert served_pairs(tokens, context, window) == sum(seen)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
shapes = st.dictionaries(
    st.sampled_from(["tokens", "context", "batch", "logits", "width", "height", "frames"]),
    st.integers(-3, 300) | st.sampled_from(["last", "all", None]),
)


@given(
    st.sampled_from(["gpt2", "sdxl", "bert-base", "wan-2.1-t2v-1.3b", "vae-kl-f8"])
    | st.text(max_size=10),
    st.sampled_from(["decoder", "encoder", "denoiser", "vae_decode", "text_encoder:clip-l", "x"]),
    shapes | json_values,
)
@settings(max_examples=200, deadline=None)
def test_any_case_is_answered(model, component, shape):
    case = {"id": 1, "case": "flops", "model": model, "component": component, "shape": shape}
    answer = answer_line(json.dumps(case), ANSWERERS)
    assert answer["id"] == 1
    assert ("error" in answer) != ("gflops" in answer)


@given(st.text(max_size=40))
def test_any_line_is_answered(line):
    assert "id" in answer_line(line, ANSWERERS)
