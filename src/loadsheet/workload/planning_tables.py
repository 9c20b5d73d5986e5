"""The tables `[[model]]` and `[plan]` of a workload file.

[plan]
objective = "cost"
spare_replicas = 1
[[model]]
name = "chat-8b"
source = "llama-3.1-8b"
dtypes = ["bf16", "fp8"]
"""

from loadsheet.settings import Table
from loadsheet.workload.planning import OBJECTIVES, ModelChoice, Planning


def read_models(table: Table) -> tuple[ModelChoice, ...]:
    if not table.has("model"):
        return ()
    return tuple(_model(child) for child in table.children("model"))


def read_planning(table: Table) -> Planning:
    default = Planning()
    objective = table.text("objective") or default.objective
    if objective not in OBJECTIVES:
        raise table.wrong("objective", " or ".join(repr(name) for name in OBJECTIVES))
    planning = Planning(
        objective=objective,
        demand_percentile=table.number("demand_percentile", default.demand_percentile),
        spare_replicas=table.integer("spare_replicas", default.spare_replicas),
    )
    table.finish()
    return planning


def _model(table: Table) -> ModelChoice:
    table.required("name")
    default = ModelChoice(name="")
    choice = ModelChoice(
        name=table.text("name") or "",
        source=table.text("source") or "",
        dtypes=table.texts("dtypes") or default.dtypes,
        kv_dtype=table.text("kv_dtype"),
        engine=table.text("engine") or default.engine,
        tp_sizes=tuple(int(size) for size in table.numbers("tp_sizes")),
        may_share=table.flag("may_share", default.may_share),
    )
    table.finish()
    return choice
