"""Write a run in the shapes of other tools, a folder per phase and class.

exports/mixed/chat/vllm.json
exports/mixed/chat/profile_export.jsonl
exports/mixed/chat/profile_export_aiperf.json
"""

import json
from pathlib import Path

from loadsheet.bench.export_aiperf import aiperf_record, aiperf_summary
from loadsheet.bench.export_vllm import vllm_document
from loadsheet.bench.run import RunResult
from loadsheet.bench.summarize import PlayedPhase
from loadsheet.workload.traffic import TextTraffic, Traffic


def write_exports(folder: Path, result: RunResult) -> None:
    for phase in result.phases:
        for traffic in phase.traffic:
            target = folder / phase.name.replace(":", "-") / traffic.name
            target.mkdir(parents=True, exist_ok=True)
            _write_class(target, result, phase, traffic)


def _write_class(folder: Path, result: RunResult, phase: PlayedPhase, traffic: Traffic) -> None:
    if isinstance(traffic, TextTraffic):
        _write_json(folder / "vllm.json", vllm_document(result, phase, traffic))
    _write_json(folder / "profile_export_aiperf.json", aiperf_summary(result, phase, traffic))
    lines = [json.dumps(aiperf_record(result, phase, record)) for record in phase.of(traffic.name)]
    (folder / "profile_export.jsonl").write_text(
        "".join(f"{line}\n" for line in lines), encoding="utf-8"
    )


def _write_json(path: Path, document: dict[str, object]) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
