"""`prometheus-alerts.yaml`: the plan's promises and limits as alerts on the exported series."""

from loadsheet.planner.plan import ClassForecast, LatencyForecast, Plan
from loadsheet.planner.sheet.verdict import first_limit
from loadsheet.planner.sheet.yaml_text import Yaml, yaml_text
from loadsheet.units import format_seconds

_WINDOW = "10m"
_FULL = 0.95
_SERIES = {
    "ttft_s": "vllm:time_to_first_token_seconds",
    "tpot_s": "vllm:request_time_per_output_token_seconds",
}


def alerts(plan: Plan) -> str:
    """One group of rules; models that several classes share are watched for the loosest promise."""
    _, factor = first_limit(plan)
    by_model: dict[str, list[ClassForecast]] = {}
    for one in plan.classes:
        by_model.setdefault(one.model, []).append(one)
    rules = [rule for model, ones in by_model.items() for rule in _model_rules(model, ones, factor)]
    rules.append(_rule("LoadsheetDown", "loadsheet:up == 0", "a device loop has stopped", "1m"))
    rules.append(
        _rule(
            "LoadsheetCacheFull",
            f"vllm:kv_cache_usage_perc > {_FULL}",
            "the KV cache of {{ $labels.model_name }} is nearly full; requests will wait",
        )
    )
    return yaml_text([{"groups": [{"name": "loadsheet", "rules": rules}]}])


def _model_rules(model: str, classes: list[ClassForecast], factor: float) -> list[dict[str, Yaml]]:
    share = min(one.percentile for one in classes)
    planned = sum(one.planned_rps for one in classes)
    ended = f'sum(rate(loadsheet:requests_total{{model_name="{model}"'
    rules = [
        _rule(
            "LoadsheetPromiseMissed",
            f'{ended},slo="met"}}[{_WINDOW}])) / {ended},slo=~"met|missed"}}[{_WINDOW}])) '
            f"< {share:g}",
            f"less than {share:.0%} of the requests to {model} keep their promises",
        ),
        _rule(
            "LoadsheetBeyondPlan",
            f"{ended}}}[{_WINDOW}])) > {planned * factor:.6g}",
            f"{model} gets more than {planned * factor:.3g} requests/s, where the plan ends; "
            "plan again",
        ),
    ]
    loosest: dict[str, LatencyForecast] = {}
    for item in (item for one in classes for item in one.latencies if item.metric in _SERIES):
        known = loosest.get(item.metric)
        loosest[item.metric] = item if known is None or item.limit_s > known.limit_s else known
    return rules + [_latency_rule(model, share, item) for item in loosest.values()]


def _latency_rule(model: str, share: float, item: LatencyForecast) -> dict[str, Yaml]:
    buckets = (
        f'sum by (le) (rate({_SERIES[item.metric]}_bucket{{model_name="{model}"}}[{_WINDOW}]))'
    )
    return _rule(
        f"LoadsheetSlow{item.metric.removesuffix('_s').title()}",
        f"histogram_quantile({share:g}, {buckets}) > {item.limit_s:g}",
        f"p{100 * share:g} {item.metric.removesuffix('_s')} of {model} is above "
        f"{format_seconds(item.limit_s)}; {format_seconds(item.at_slo.value)} were predicted",
    )


def _rule(name: str, expression: str, summary: str, lasts: str = "5m") -> dict[str, Yaml]:
    return {
        "alert": name,
        "expr": expression,
        "for": lasts,
        "labels": {"severity": "page"},
        "annotations": {"summary": summary},
    }
