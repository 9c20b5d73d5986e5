"""`run.sh`, `bench.sh` and `run_vllm.sh`: the plan as commands."""

import shlex

from loadsheet.planner.plan import Plan
from loadsheet.planner.sheet.launch import Runner, runner, vllm_arguments

_HEAD = '#!/bin/sh\n# {what}\nset -eu\nhere=$(cd "$(dirname "$0")" && pwd)\n'


def run_script(plan: Plan) -> str:
    """One replica on this machine, within the plan's limits."""
    ours = [group.replicas.name for group in plan.groups if runner(group) is Runner.OURS]
    head = _HEAD.format(what="Serve one replica of a group here: run.sh [GROUP] [FLAGS]")
    if not ours:
        return (
            f"{head}echo 'no group of this plan runs in loadsheet; see run_vllm.sh' >&2\nexit 2\n"
        )
    known = "|".join(shlex.quote(name) for name in ours)
    return (
        f"{head}group={shlex.quote(ours[0])}\n"
        f'case "${{1:-}}" in\n  {known}) group=$1; shift ;;\nesac\n'
        'exec loadsheet serve "$here" --group "$group" "$@"\n'
    )


def bench_script(plan: Plan) -> str:
    """The plan's own traffic against what serves it."""
    head = _HEAD.format(what="Send the planned traffic: bench.sh [URL] [FLAGS]")
    if plan.inputs.changes:
        head += f"# workload.toml as given, without: {'; '.join(plan.inputs.changes)}\n"
    return (
        f"{head}url=${{1:-http://127.0.0.1:8000}}\n[ $# -eq 0 ] || shift\n"
        'exec loadsheet bench run --workload "$here/workload.toml" --url "$url" "$@"\n'
    )


def vllm_script(plan: Plan) -> str | None:
    """None where no group is for vLLM."""
    groups = [group for group in plan.groups if runner(group) is Runner.VLLM]
    if not groups:
        return None
    head = _HEAD.format(what="One replica in vLLM: run_vllm.sh GROUP, weights under $MODELS")
    cases = "".join(
        f"  {shlex.quote(group.replicas.name)})\n    exec vllm serve "
        f'"$MODELS"{shlex.join(vllm_arguments(group, models=""))} ;;\n'
        for group in groups
    )
    names = " ".join(group.replicas.name for group in groups)
    return (
        f'{head}: "${{MODELS:={"/models"}}}" "$here"\ncase "${{1:-}}" in\n{cases}'
        f"  *) echo 'groups: {names}' >&2; exit 2 ;;\nesac\n"
    )
