import pytest

from loadsheet.cost.explain import explain
from loadsheet.cost.fit import reserve
from loadsheet.cost.ledger import Owner
from loadsheet.cost.memory import (
    activation_bytes,
    check_shards,
    decoder_ledger,
    image_ledger,
    kv_share,
    largest,
    weight_bytes,
)
from loadsheet.cost.shape import PictureShape
from loadsheet.cost.work import Work
from loadsheet.errors import CapacityError, ConfigError
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.specs.catalog import Catalog
from loadsheet.specs.precision import of

CATALOG = Catalog()
H100 = DeviceCatalog().find("h100-sxm-80gb")


def owners(ledger) -> dict[Owner, int]:
    sums: dict[Owner, int] = {}
    for line in ledger.lines:
        sums[line.owner] = sums.get(line.owner, 0) + line.num_bytes
    return sums


def test_sixteen_bit_weights_are_twice_the_parameters():
    (component,) = CATALOG.find("llama-3-8b").components()
    assert weight_bytes(component, of("bf16")) == 2 * 8_030_261_248


def test_int4_weights_keep_embedding_and_head_wide():
    (component,) = CATALOG.find("llama-3-8b").components()
    wide = 2 * 4096 * 128256 + 65 * 4096  # embedding, head, norms
    narrow = (8_030_261_248 - wide) * (4 + 16 / 128) / 8
    assert weight_bytes(component, of("int4")) == pytest.approx(2 * wide + narrow, rel=1e-6)


def test_a_billion_parameters_take_seventy_gigabytes():
    """Weights 2.5 GB; a server that reserves 90 % of 80 GB fills the rest with KV blocks."""
    shown = explain(CATALOG.find("llama-3.2-1b"), H100, of("bf16"), Work())
    reservation = reserve(shown.ledger, H100.memory_bytes, 0.9, Work())
    held = owners(reservation.ledger)
    assert sum(held.values()) == 72 * 10**9
    assert held[Owner.WEIGHTS] == 2 * 1_235_814_400
    assert held[Owner.KV_BLOCKS] > 68 * 10**9
    assert reservation.tokens == held[Owner.KV_BLOCKS] // 32768
    assert reservation.requests == reservation.tokens // 640
    assert "67.1 GiB" in reservation.sentences()[0]


@pytest.mark.parametrize("share", [0, -0.5, 1.5])
def test_reserve_is_a_share(share):
    shown = explain(CATALOG.find("gpt2"), H100, of("bf16"), Work())
    with pytest.raises(ConfigError, match="above 0 and at most 1"):
        reserve(shown.ledger, H100.memory_bytes, share, Work())


def test_a_share_must_hold_what_is_needed():
    shown = explain(CATALOG.find("llama-3.1-8b"), H100, of("bf16"), Work())
    with pytest.raises(CapacityError, match=r"20% of the device is 14.9 GiB, but .* 16.0 GiB"):
        reserve(shown.ledger, H100.memory_bytes, 0.2, Work())


def test_largest_batch_is_the_last_that_fits():
    entry = CATALOG.find("llama-3-8b")
    best = int(explain(entry, H100, of("bf16"), Work()).facts["largest_batch"])
    at_best = explain(entry, H100, of("bf16"), Work(batch=best)).ledger.total_bytes()
    beyond = explain(entry, H100, of("bf16"), Work(batch=2 * best)).ledger.total_bytes()
    assert at_best <= H100.memory_bytes * 1.01  # logits of the batch are the slack
    assert beyond > H100.memory_bytes


def test_shards_split_matrices_and_heads():
    (component,) = CATALOG.find("llama-3-70b").components()
    one, four = (owners(decoder_ledger("x", component, 8, 4096, of("bf16"), tp)) for tp in (1, 4))
    assert four[Owner.WEIGHTS] == pytest.approx(one[Owner.WEIGHTS] / 4, rel=1e-4)
    assert four[Owner.KV_BLOCKS] * 4 == one[Owner.KV_BLOCKS]
    assert Owner.COMMUNICATION not in one
    assert four[Owner.COMMUNICATION] == 2 * 2048 * 8192 * 2


def test_shards_beyond_the_kv_heads_keep_copies():
    """8 key-value heads on 16 devices: each keeps one, half of them twice."""
    assert kv_share(CATALOG.find("llama-3-70b").model, 16) == 1 / 8
    assert kv_share(CATALOG.find("deepseek-v3").model, 8) == 1.0


@pytest.mark.parametrize("tp_size", [0, 3, 128])
def test_heads_are_dealt_evenly(tp_size):
    with pytest.raises(ConfigError, match=f"tensor parallel {tp_size} cannot deal 64 heads"):
        check_shards(CATALOG.find("llama-3-70b").model, tp_size)


def test_guidance_doubles_activations_not_latents():
    entry = CATALOG.find("sdxl")
    parts = entry.components()
    shape = PictureShape(width=1024, height=1024, text_tokens=77)
    held = owners(image_ledger("sdxl", entry.model, parts, shape, of("bf16")))
    denoiser = entry.component("denoiser")
    doubled = PictureShape(width=1024, height=1024, text_tokens=77, batch=2)
    assert held[Owner.ACTIVATIONS] == activation_bytes(denoiser, doubled)
    assert held[Owner.LATENTS] == 3 * 4 * 4 * 128 * 128


def test_vae_peak_grows_with_the_picture():
    decoder = CATALOG.component("sdxl", "vae_decode")
    small, large = (
        activation_bytes(decoder, PictureShape(width=side, height=side)) for side in (512, 1024)
    )
    assert large == 4 * small


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 17, 1000])
def test_largest_finds_the_edge(limit):
    assert largest(lambda n: n <= limit) == limit
