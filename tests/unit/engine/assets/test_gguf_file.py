from pathlib import Path

import gguf
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadsheet.engine.assets.gguf_file import BLOCKS, TensorKind, read_gguf
from loadsheet.errors import AssetError


def test_reads_what_the_reference_writer_wrote(tiny_gguf: Path) -> None:
    ours, reference = read_gguf(tiny_gguf), gguf.GGUFReader(tiny_gguf)
    assert ours.integer("llama.attention.head_count_kv") == 2
    assert ours.number("llama.rope.freq_base") == 10000.0
    assert ours.text("tokenizer.ggml.pre") == "smollm"
    assert ours.texts("tokenizer.ggml.merges") == ["h e", "Ċ Ċ", "Ġ t"]
    for mine, theirs in zip(ours.tensors, reference.tensors, strict=True):
        assert mine.name == theirs.name
        assert mine.kind == theirs.tensor_type
        assert mine.shape == tuple(reversed(theirs.shape.tolist()))
        packed = ours.packed_rows(mine)
        np.testing.assert_array_equal(packed.reshape(-1), theirs.data.view(np.uint8).reshape(-1))


def test_every_field_type_is_read(tmp_path: Path) -> None:
    path = tmp_path / "fields.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint8("u8", 200)
    writer.add_int8("i8", -100)
    writer.add_uint16("u16", 60000)
    writer.add_int16("i16", -30000)
    writer.add_int32("i32", -(2**30))
    writer.add_uint64("u64", 2**63)
    writer.add_int64("i64", -(2**62))
    writer.add_float64("f64", 0.1)
    writer.add_bool("yes", True)
    writer.add_array("list", [1, 2, 3])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    fields = read_gguf(path).fields
    assert (fields["u8"], fields["i8"]) == (200, -100)
    assert (fields["u16"], fields["i16"]) == (60000, -30000)
    assert (fields["i32"], fields["u64"], fields["i64"]) == (-(2**30), 2**63, -(2**62))
    assert (fields["f64"], fields["yes"], fields["list"]) == (0.1, True, [1, 2, 3])


@pytest.mark.parametrize("ask", ["integer", "number", "text", "texts"])
def test_a_missing_field_is_named(tiny_gguf: Path, ask: str) -> None:
    file = read_gguf(tiny_gguf)
    question = {"integer": file.integer, "number": file.number, "text": file.text}
    with pytest.raises(AssetError, match=r"llama\.nope"):
        question.get(ask, file.texts)("llama.nope")


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "image.gguf"
    path.write_bytes(b"PNG?" + bytes(64))
    with pytest.raises(AssetError, match="does not start with GGUF"):
        read_gguf(path)


def test_an_unknown_version_is_refused(tiny_gguf: Path) -> None:
    damaged = bytearray(tiny_gguf.read_bytes())
    damaged[4] = 9
    tiny_gguf.write_bytes(damaged)
    with pytest.raises(AssetError, match="version 9"):
        read_gguf(tiny_gguf)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0.0, 0.999))
def test_a_truncated_file_never_gives_tensors(
    tiny_gguf: Path, tmp_path: Path, share: float
) -> None:
    whole = tiny_gguf.read_bytes()
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(whole[: max(1, int(len(whole) * share))])
    with pytest.raises(AssetError):
        file = read_gguf(cut)
        for tensor in file.tensors:
            file.packed_rows(tensor)


def test_block_sizes_match_the_reference() -> None:
    for kind in TensorKind:
        assert BLOCKS[kind] == gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(kind)]
