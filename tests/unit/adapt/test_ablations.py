"""Each ablation measures what it says: same results both ways, equal sizes, bytes that add up."""

import pytest
import torch
from torch.testing import assert_close

from loadsheet.adapt.ablation_attention import (
    KERNELS,
    AttentionConfig,
    attention_work,
    measure_attention,
    peak_bytes,
    study_attention,
)
from loadsheet.adapt.ablation_kv_cache import (
    KvCacheConfig,
    cached_logits,
    fill,
    measure_kv_cache,
    recomputed_logits,
    study_kv_cache,
)
from loadsheet.adapt.ablation_mixers import MixersConfig, study_mixers
from loadsheet.adapt.chart import Panel, write_chart
from loadsheet.adapt.loop import LoopConfig
from loadsheet.adapt.mixers import build_mixers, measure_contexts, num_parameters, token_work
from loadsheet.adapt.recurrent_model import RecurrentModel, layer_parameters, matched_state_size
from loadsheet.adapt.study import StudyPlace
from loadsheet.adapt.text_config import DecoderShape
from loadsheet.adapt.text_model import TextModel
from loadsheet.engine.text.decoder import ContiguousAttention
from loadsheet.errors import ConfigError
from loadsheet.track import read_run, start_run

SHAPE = DecoderShape(hidden_size=48, ffn_size=96, num_layers=2, num_heads=2, num_kv_heads=2)
CONFIG = SHAPE.config(300, 64)


class Silence:
    def on_step(self, step, num_steps, loss):
        pass


@pytest.fixture
def place(tmp_path):
    with start_run(tmp_path / "runs", command="train ablation", name="test", config={}) as run:
        yield StudyPlace(
            run=run,
            observer=Silence(),
            corpus_folder=tmp_path,
            work_folder=tmp_path / "work",
            seed=0,
        )


@pytest.fixture
def decoder():
    torch.manual_seed(0)
    return TextModel(CONFIG).decoder()


@torch.inference_mode()
def test_with_and_without_the_cache_the_logits_are_equal(decoder):
    ids = torch.randint(300, (20,), generator=torch.Generator().manual_seed(0))
    attention = ContiguousAttention(decoder, 20)
    for context in (1, 7, 20):
        fill(decoder, attention, ids[: context - 1])
        assert attention.num_cached == context - 1
        found = cached_logits(decoder, attention, ids[:context])
        assert_close(found, recomputed_logits(decoder, ids[:context]), atol=1e-4, rtol=1e-4)


def test_contexts_are_measured_once_each_in_order(decoder):
    costs = list(measure_kv_cache(decoder, (16, 4, 16), repeats=1))
    assert [cost.context for cost in costs] == [4, 16]
    assert all(cost.cached_s > 0 and cost.recomputed_s > 0 for cost in costs)
    with pytest.raises(ConfigError, match="context of 0 tokens"):
        list(measure_kv_cache(decoder, (0, 4)))


def test_written_out_scores_are_in_the_peak_and_fused_ones_are_not():
    num_heads, num_tokens = 2, 512
    score_bytes = num_heads * num_tokens**2 * 4
    qkv = torch.randn(3, 1, num_heads, num_tokens, 16)
    naive = peak_bytes(attention_work(KERNELS["naive"], qkv, is_backward=False))
    fused = peak_bytes(attention_work(KERNELS["sdpa"], qkv, is_backward=False))
    assert naive >= 2 * score_bytes  # scores, and scores with the mask
    assert fused < score_bytes


def test_the_peak_is_of_the_work_alone():
    before = torch.ones(1 << 20)
    found = peak_bytes(lambda: torch.zeros(1 << 18) + 1)
    assert found == pytest.approx(2 * 4 * (1 << 18), rel=1e-3)
    assert before.sum() == 1 << 20


def test_all_kernels_and_directions_are_measured():
    costs = list(measure_attention((32, 16), num_heads=2, head_dim=8, repeats=1))
    assert [cost.num_tokens for cost in costs] == [16] * 6 + [32] * 6
    assert {(cost.kernel, cost.is_backward) for cost in costs} == {
        (kernel, is_backward) for kernel in KERNELS for is_backward in (False, True)
    }


def test_the_mixers_have_equal_parameters():
    sizes = [num_parameters(module) for module in build_mixers(CONFIG, 0).values()]
    assert max(sizes) / min(sizes) - 1 <= 0.02


@pytest.mark.parametrize("budget", [20_000, 33_333, 400_000])
def test_the_state_is_the_widest_that_fits(budget):
    size = matched_state_size(48, budget)
    assert layer_parameters(48, size) <= budget < layer_parameters(48, size + 1)
    layer = RecurrentModel(CONFIG, 2 * budget + 300 * 48 + 48).layers[0]
    assert num_parameters(layer) == layer_parameters(48, size)


def test_too_small_a_budget_is_refused():
    with pytest.raises(ConfigError, match="too few for an LSTM of width 48"):
        matched_state_size(48, 100)


@torch.no_grad()
def test_a_recurrent_model_goes_on_from_its_states():
    module = RecurrentModel(CONFIG, 100_000)
    ids = torch.randint(300, (2, 10), generator=torch.Generator().manual_seed(0))
    whole = module(ids).view(2, 10, -1)
    first, states = module.step(ids[:, :6], None)
    second, _ = module.step(ids[:, 6:], states)
    parts = torch.cat([first.view(2, 6, -1), second.view(2, 4, -1)], dim=1)
    assert_close(parts, whole, atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("name", ["attention", "linear", "lstm"])
def test_one_generated_token_equals_the_whole_row(name):
    module = build_mixers(CONFIG, 0)[name].eval()
    ids = torch.randint(300, (24,), generator=torch.Generator().manual_seed(0))
    found = token_work(module, name, ids)()
    logits = found[0] if isinstance(found, tuple) else found
    assert_close(logits[-1], module(ids[None])[-1], atol=1e-4, rtol=1e-4)


def test_every_mixer_is_timed_at_every_context():
    costs = list(measure_contexts(build_mixers(CONFIG, 0), (8, 16), repeats=1))
    assert [(cost.context, cost.mixer) for cost in costs] == [
        (context, mixer) for context in (8, 16) for mixer in ("attention", "linear", "lstm")
    ]


def test_the_mixers_learn_and_are_stored(place, tmp_path):
    text = tmp_path / "lines.txt"
    text.write_text("".join(f"a line with the number {n % 7} in it\n" for n in range(900)))
    config = MixersConfig(
        files=(str(text),),
        vocab_size=280,
        context_tokens=32,
        batch_size=4,
        model=SHAPE,
        contexts=(8,),
        loop=LoopConfig(num_steps=30, learning_rate=1e-2, warmup_steps=3, ema_decay=None),
    )
    table = study_mixers(config, place)
    run = read_run(place.run.folder)
    assert [row[0] for row in table.rows] == ["attention", "linear", "lstm"]
    for mixer in ("attention", "linear", "lstm"):
        losses = [point.values[f"{mixer}.loss"] for point in run.series(f"{mixer}.loss")]
        assert len(losses) == 3
        assert losses[-1] < 0.7 * losses[0]
    assert [path.name for path in run.artifacts] == ["mixers.svg"]


def test_numbers_and_figures_are_stored(place):
    study_kv_cache(KvCacheConfig(model=SHAPE, contexts=(4, 8), repeats=1), place)
    table = study_attention(AttentionConfig(lengths=(16,), repeats=1), place)
    run = read_run(place.run.folder)
    assert {path.name for path in run.artifacts} == {"kv-cache.svg", "attention.svg"}
    assert [point.step for point in run.series("cached_s")] == [4, 8]
    assert run.series("naive + backward.bytes")[0].values["naive + backward.bytes"] > 0
    assert len(table.rows) == 6


def test_the_same_numbers_draw_the_same_figure(tmp_path):
    panels = [Panel(x_label="x", y_label="y", lines={"a": [(1, 2), (3, 4)]}, is_log_x=True)]
    for name in ("one.svg", "two.svg"):
        write_chart(tmp_path / name, "title", panels)
    one, two = ((tmp_path / name).read_text() for name in ("one.svg", "two.svg"))
    assert "<svg" in one
    assert one == two
