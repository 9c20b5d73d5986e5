"""A deployment from a plan folder, or from models and a device without a plan."""

from dataclasses import dataclass, replace
from pathlib import Path

from loadsheet.errors import ConfigError
from loadsheet.planner.plan_json import read_plan
from loadsheet.sim.deployment import Deployment, ResidentModel
from loadsheet.sim.price_book import PriceBook
from loadsheet.sim.sizing import Sizing, replica_group
from loadsheet.workload.shape import ImageShape
from loadsheet.workload.trace import Replay
from loadsheet.workload.traffic import ImageTraffic
from loadsheet.workload.workload import Workload

PLAN_FILE = "plan.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetFlags:
    """Models on one kind of device: together on each replica, or `apart`, each on its own.
    `engine` runs language models with that engine's overheads and limits, None with our limits."""

    models: tuple[str, ...]
    device: str
    dtype: str = "bf16"
    replicas: int = 1
    tp: int = 1
    pp: int = 1
    lanes: int = 1
    apart: bool = False
    engine: str | None = None
    policy: str | None = None
    router: str | None = None


def fleet_of(flags: FleetFlags, workload: Workload, book: PriceBook) -> Deployment:
    """Limits are what the weights leave; images come in the sizes of the workload."""
    models = tuple(
        ResidentModel(name=name, dtype=flags.dtype, engine=flags.engine or "vllm")
        for name in flags.models
    )
    shared = Sizing(
        name="shared",
        device=flags.device,
        models=models,
        sizes=_image_sizes(workload),
        num_replicas=flags.replicas,
        tp=flags.tp,
        pp=flags.pp,
        num_lanes=flags.lanes,
        policy=flags.policy or "slack",
        engine_limits=flags.engine,
    )
    parts = [shared]
    if flags.apart or len(models) == 1:
        parts = [replace(shared, name=one.name, models=(one,)) for one in models]
    groups = tuple(replica_group(part, book) for part in parts)
    return Deployment(groups=groups, router=flags.router or "least-work")


def fleet_of_plan(path: Path, policy: str | None = None, router: str | None = None) -> Deployment:
    """Of a plan folder or its `plan.json`; a policy or router given replaces the plan's."""
    file = path / PLAN_FILE if path.is_dir() else path
    if not file.is_file():
        raise ConfigError(f"{path} holds no {PLAN_FILE}; give a folder that `loadsheet plan` wrote")
    planned = read_plan(file).deployment
    groups = planned.groups
    if policy is not None:
        groups = tuple(replace(group, policy=policy) for group in groups)
    return replace(planned, groups=groups, router=router or planned.router)


def _image_sizes(workload: Workload) -> tuple[tuple[int, int], ...]:
    sizes: dict[tuple[int, int], None] = {}
    for traffic in workload.traffic:
        if not isinstance(traffic, ImageTraffic):
            continue
        if isinstance(traffic.arrivals, Replay):
            shapes = [row.shape for row in traffic.arrivals.rows]
            pictures = [shape for shape in shapes if isinstance(shape, ImageShape)]
            sizes.update(dict.fromkeys((one.width, one.height) for one in pictures))
        else:
            sizes[(traffic.width, traffic.height)] = None
    return tuple(sizes)
