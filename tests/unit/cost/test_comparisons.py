import pytest

from loadsheet.cost import picture_comparison, sequence_comparison
from loadsheet.cost.operator import OpKind, total
from loadsheet.cost.recurrent import serial_steps, state_values, walk
from loadsheet.cost.sequence_comparison import LENGTHS, compare_sequences, first_length, mixer
from loadsheet.cost.shape import TokenShape
from loadsheet.cost.tape import Tape
from loadsheet.errors import ConfigError
from loadsheet.hardware.catalog import DeviceCatalog
from loadsheet.specs.catalog import Catalog
from loadsheet.specs.precision import Precision

H100 = DeviceCatalog().find("h100-sxm-80gb")


def walked(name: str, tokens: int, context: int):
    tape = Tape(Precision())
    walk(tape, mixer(name, 1024, 2), TokenShape(tokens=tokens, context=context))
    return tape.operators


def test_lstm_costs_sixteen_h_squared_per_token():
    """8h(h + x) FLOPs per token and layer, with x = h."""
    assert total(walked("lstm", 10, 10)).flops == 2 * 10 * 16 * 1024**2
    assert total(walked("gru", 10, 10)).flops == 2 * 10 * 12 * 1024**2


def test_lstm_rereads_its_recurrent_weights_for_every_token():
    once, many = (total(walked("lstm", tokens, tokens)).weight_bytes for tokens in (1, 100))
    recurrent = 2 * 4 * 1024**2 * 2
    assert many - once == 99 * recurrent


def test_linear_attention_scans_in_four_dk_dv_per_head():
    scans = [op for op in walked("linear", 7, 7) if op.kind is OpKind.SCAN]
    assert sum(op.flops * op.count for op in scans) == 2 * 7 * 4 * 8 * 128 * 128


def test_state_is_constant_but_for_attention():
    for name in ("lstm", "gru", "linear", "mamba2"):
        spec = mixer(name, 1024, 2)
        assert state_values(spec, 10) == state_values(spec, 10_000)
    spec = mixer("attention", 1024, 2)
    assert state_values(spec, 10_000) == 2 * 2 * 1024 * 10_000


def test_depth_along_the_sequence():
    depth = {name: serial_steps(mixer(name, 1024, 2), 1000) for name in ("attention", "lstm")}
    assert depth == {"attention": 1, "lstm": 1000}
    assert serial_steps(mixer("mamba2", 1024, 2), 1000) == 4


def test_crossovers_are_where_the_curves_meet():
    result = compare_sequences(["attention", "lstm", "linear"], H100, (1024, 2))
    for crossing in result.crossovers:
        if crossing.what == "prefill FLOPs" and crossing.tokens:
            below, above = (
                [total(walked(name, n, n)).flops for name in ("attention", crossing.other)]
                for n in (crossing.tokens // 4, crossing.tokens * 4)
            )
            assert below[0] < below[1]
            assert above[0] > above[1]


def test_attention_uses_the_device_and_lstm_does_not():
    result = compare_sequences(["attention", "lstm"], H100)
    assert result.at("attention", 8192).utilisation > 0.6
    assert result.at("lstm", 8192).utilisation < 0.02
    assert result.at("lstm", LENGTHS[-1]).decode_s < result.at("attention", LENGTHS[-1]).decode_s


def test_sentences_carry_the_numbers():
    result = compare_sequences(["attention", "lstm"], H100)
    said = "\n".join(sequence_comparison.sentences(result))
    assert "lstm at 131,072 tokens: 131,072 dependent steps" in said
    assert "attention needs more prefill FLOPs than lstm from 16,384 tokens on." in said


def test_first_length_of_a_condition():
    assert first_length(lambda n: n >= 77) == 77
    assert first_length(lambda n: False) is None


def test_unknown_mixers_and_odd_widths_are_refused():
    with pytest.raises(ConfigError, match="'rwkv' is unknown; choose from attention"):
        mixer("rwkv", 1024, 2)
    with pytest.raises(ConfigError, match="1000 is not a multiple of 128"):
        mixer("lstm", 1000, 2)


def test_pixels_cost_what_eightfold_latents_cost():
    """A 256x256 picture in pixels is the same grid as a 2048x2048 one in f8 latents."""
    entry = Catalog().find("sd-1.5")
    result = picture_comparison.compare_spaces(entry, H100)
    pixel, latent = result.at("pixel", 256), result.at("latent", 2048)
    assert pixel.step_flops == pytest.approx(latent.step_flops, rel=1e-3)
    assert all("times the FLOPs" in line for line in picture_comparison.sentences(result))


def test_only_unets_go_to_pixels():
    with pytest.raises(ConfigError, match="has no latent U-Net"):
        picture_comparison.compare_spaces(Catalog().find("flux.1-dev"), H100)
