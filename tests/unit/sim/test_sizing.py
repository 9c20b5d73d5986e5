"""What is left for the cache when models board a device, against sums by hand."""

import pytest

from loadsheet.errors import CapacityError, ConfigError
from loadsheet.sim.deployment import ReplicaGroup, ResidentModel
from loadsheet.sim.price_book import PriceBook
from loadsheet.sim.sizing import Sizing, replica_group

BOOK = PriceBook()


def sized(*names: str, device: str = "h100-sxm", **more: object) -> ReplicaGroup:
    models = tuple(ResidentModel(name=name) for name in names)
    return replica_group(Sizing(name="g", device=device, models=models, **more), BOOK)


def test_the_cache_is_what_the_weights_leave():
    """llama-3.1-8b: 8.03e9 weights of 2 bytes, 131,072 bytes of cache per token, blocks of 16; of
    80e9 bytes a twentieth stays free and the runtime takes 1e9, activations a little."""
    blocks = sized("llama-3.1-8b").text[0].num_blocks
    most = (0.95 * 80e9 - 2 * 8.03e9 - 1e9) / (131_072 * 16)
    assert 0.98 * most < blocks < most


def test_a_second_model_takes_room():
    alone, shared = sized("llama-3.1-8b"), sized("llama-3.1-8b", "sdxl", sizes=((1024, 1024),))
    missing = (alone.text[0].num_blocks - shared.text[0].num_blocks) * 131_072 * 16
    weights = BOOK.weight_bytes(ResidentModel(name="sdxl"))
    assert weights < missing < weights + 3e9  # and its widest step and latents
    assert shared.images[0].state_bytes(1024, 1024) > 3 * 4 * 4 * 128 * 128


def test_shards_and_stages_leave_more():
    blocks = [sized("llama-3.1-70b", tp=4, pp=pp).text[0].num_blocks for pp in (1, 2)]
    assert blocks[1] > 2.5 * blocks[0]  # half the weights, half the cache per token


def test_an_engines_limits_are_its_own():
    own, vllm = sized("llama-3.1-8b"), sized("llama-3.1-8b", engine_limits="vllm")
    assert (own.text[0].max_chunk_tokens, own.text[0].max_num_seqs) == (512, 256)
    assert (vllm.text[0].max_chunk_tokens, vllm.text[0].max_num_seqs) == (2048, 1024)
    assert vllm.text[0].num_blocks < own.text[0].num_blocks  # 90 % of the memory, not 95


def test_what_does_not_fit_is_refused_with_the_missing_bytes():
    """70e9 weights of 2 bytes on 24e9: 111 GiB short with the rest."""
    with pytest.raises(CapacityError, match=r"out of memory by 11\d\.\d GiB before any request"):
        sized("llama-3.1-70b", device="l4")
    with pytest.raises(ConfigError, match="no decoder, image pipeline or encoder"):
        sized("vae-kl-f8")


def test_groups_say_what_is_wrong_with_them():
    model = ResidentModel(name="llama-3.1-8b")
    with pytest.raises(ConfigError, match="give each model one entry of limits"):
        ReplicaGroup(name="g", device="l4", num_replicas=1, models=(model,))
    with pytest.raises(ConfigError, match="num_replicas of group g is 0"):
        ReplicaGroup(name="g", device="l4", num_replicas=0, models=())
    with pytest.raises(ConfigError, match="image models run on one device"):
        sized("sdxl", tp=2)
