"""What a workload says about how to plan it: the models' choices, and how careful to be."""

from dataclasses import dataclass

from loadsheet.errors import ConfigError

OBJECTIVES = ("cost", "devices", "goodput")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelChoice:
    """A model that classes name. `source` is a catalogue name or a folder, the same name when
    empty; `dtypes` are the formats it may be served in, `tp_sizes` over how many devices (empty:
    what fits and is fast enough); with `may_share` it may sit beside other models."""

    name: str
    source: str = ""
    dtypes: tuple[str, ...] = ("bf16",)
    kv_dtype: str | None = None
    engine: str = "vllm"
    tp_sizes: tuple[int, ...] = ()
    may_share: bool = True

    def __post_init__(self) -> None:
        if not self.dtypes:
            raise ConfigError(f"model {self.name} may be served in no dtype; give at least one")
        if any(size < 1 for size in self.tp_sizes):
            raise ConfigError(f"tp_sizes of model {self.name} are {self.tp_sizes}; give 1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planning:
    """`demand_percentile` of five-minute bins is planned for; `spare_replicas` of each group may
    fail at any time (N-1 is 1)."""

    objective: str = "cost"
    demand_percentile: float = 0.95
    spare_replicas: int = 0

    def __post_init__(self) -> None:
        if self.objective not in OBJECTIVES:
            known = ", ".join(OBJECTIVES)
            raise ConfigError(f"objective is {self.objective!r}; choose from {known}")
        if not 0.5 <= self.demand_percentile < 1:
            raise ConfigError(
                f"demand_percentile is {self.demand_percentile}; give a share from 0.5 on, below 1"
            )
        if not 0 <= self.spare_replicas <= 10:
            raise ConfigError(f"spare_replicas is {self.spare_replicas}; give 0 to 10")
