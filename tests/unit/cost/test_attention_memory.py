import pytest

from loadsheet.cost.attention_memory import Kernel, attention_memory
from loadsheet.errors import ConfigError

KIB = 1024


def test_standard_attention_stores_the_scores():
    cost = attention_memory(Kernel.STANDARD, 1000, 64, 100 * KIB)
    assert cost.held_bytes == 2 * 1000 * 1000 * 2
    assert cost.moved_bytes == 2 * (4 * 1000 * 64 + 4 * 1000 * 1000)


def test_flash_holds_two_numbers_per_query():
    assert attention_memory(Kernel.FLASH, 1000, 64, 100 * KIB).held_bytes == 2 * 1000 * 2


def test_flash_traffic_falls_with_on_chip_memory():
    """Θ(N² d² / M): twice the on-chip memory halves the passes over keys and values."""
    small = attention_memory(Kernel.FLASH, 2**16, 64, 64 * KIB).moved_bytes
    large = attention_memory(Kernel.FLASH, 2**16, 64, 128 * KIB).moved_bytes
    assert small / large == pytest.approx(2, rel=0.01)


def test_flash_traffic_grows_with_the_square_of_the_head():
    narrow = attention_memory(Kernel.FLASH, 2**16, 64, 128 * KIB).moved_bytes
    wide = attention_memory(Kernel.FLASH, 2**16, 128, 128 * KIB).moved_bytes
    assert wide / narrow == pytest.approx(4, rel=0.01)


def test_xformers_traffic_does_not_fall_with_on_chip_memory():
    small, large = (attention_memory(Kernel.XFORMERS, 4096, 64, size * KIB) for size in (64, 256))
    assert small == large


def test_all_kernels_do_the_same_arithmetic():
    flops = {attention_memory(kernel, 512, 64, 64 * KIB).flops for kernel in Kernel}
    assert flops == {4 * 512 * 512 * 64}


@pytest.mark.parametrize("sizes", [(0, 64, KIB), (10, 0, KIB), (10, 64, 100)])
def test_impossible_tiles_are_refused(sizes):
    with pytest.raises(ConfigError, match="on-chip memory"):
        attention_memory(Kernel.FLASH, *sizes)
