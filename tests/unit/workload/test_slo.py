import pytest

from loadsheet.errors import ConfigError
from loadsheet.workload.slo import ImageSLO, TextSLO


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("inf"), float("nan")])
def test_a_promise_is_a_positive_finite_time(seconds):
    with pytest.raises(ConfigError, match="ttft_s"):
        TextSLO(ttft_s=seconds)
    with pytest.raises(ConfigError, match="tpot_s"):
        TextSLO(tpot_s=seconds)
    with pytest.raises(ConfigError, match="deadline_s"):
        ImageSLO(deadline_s=seconds)


@pytest.mark.parametrize("percentile", [0.0, 1.0, 95, float("nan")])
def test_a_percentile_is_a_share(percentile):
    with pytest.raises(ConfigError, match="percentile"):
        TextSLO(percentile=percentile)
    with pytest.raises(ConfigError, match="percentile"):
        ImageSLO(percentile=percentile)
