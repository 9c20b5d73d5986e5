import pytest

from loadsheet.errors import ConfigError
from loadsheet.workload.slo import ImageSLO, TextSLO
from loadsheet.workload.slo_presets import read_slo_presets, slo_preset


def test_mlperf_interactive_is_500_and_30_ms_at_p99():
    found = slo_preset("mlperf:llama3.1-8b-interactive")
    assert found == TextSLO(ttft_s=0.5, tpot_s=0.03, percentile=0.99)


def test_mlperf_sdxl_is_20_s():
    assert slo_preset("mlperf:sdxl") == ImageSLO(deadline_s=20.0, percentile=0.99)


def test_every_preset_loads_and_says_where_it_comes_from():
    for name, entry in read_slo_presets().items():
        assert slo_preset(name)
        assert len(str(entry["source"])) > 20


def test_a_misspelt_preset_names_the_nearest():
    with pytest.raises(ConfigError, match=r"mlperf:llama3\.1-8b-interactive"):
        slo_preset("mlperf:llama-3.1-8b-interactive")
