"""What is to be simulated: which models sit on which devices, with which limits. Plain data.

    Deployment ── groups ──► ReplicaGroup ── num_replicas × (tp × pp devices) ──► one scheduler each

A planner's candidate, a plan folder and the flags of a command all become one of these.
"""

from dataclasses import dataclass

from loadsheet.errors import ConfigError
from loadsheet.sched.limits import DeviceLimits, EncoderLimits, ImageLimits, TextLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidentModel:
    """Weights on board. `name` is what requests ask for; `source` where its spec is found: a
    catalogue name or a folder, the same name when empty. `dtype` names weights and matmuls,
    `engine` who launches a language model's kernels, `is_compiled` how a pipeline runs."""

    name: str
    source: str = ""
    dtype: str = "bf16"
    kv_dtype: str | None = None
    engine: str = "vllm"
    is_compiled: bool = True

    @property
    def spec_name(self) -> str:
        return self.source or self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaGroup:
    """`num_replicas` identical replicas, each on `tp` × `pp` devices called `device` in the
    catalogue. Each resident model has its limits in `text`, `images` or `encoders`, under the same
    name. Image models run on one device each, so they need tp = pp = 1.

    `usd_per_hour` is of one device; None takes the catalogue's lower price.
    """

    name: str
    device: str
    num_replicas: int
    models: tuple[ResidentModel, ...]
    text: tuple[TextLimits, ...] = ()
    images: tuple[ImageLimits, ...] = ()
    encoders: tuple[EncoderLimits, ...] = ()
    tp: int = 1
    pp: int = 1
    num_lanes: int = 1
    policy: str = "slack"
    usd_per_hour: float | None = None

    def __post_init__(self) -> None:
        for key, value in (
            ("num_replicas", self.num_replicas),
            ("tp", self.tp),
            ("pp", self.pp),
            ("num_lanes", self.num_lanes),
        ):
            if value < 1:
                raise ConfigError(f"{key} of group {self.name} is {value}; give 1 or more")
        resident = sorted(model.name for model in self.models)
        limited = sorted(self.limits.models)
        if len(set(resident)) < len(resident):
            raise ConfigError(f"group {self.name} holds a model twice: {', '.join(resident)}")
        if resident != limited:
            raise ConfigError(
                f"group {self.name} holds {', '.join(resident) or 'no model'} but has limits for "
                f"{', '.join(limited) or 'none'}; give each model one entry of limits"
            )
        if self.images and self.num_devices > 1:
            raise ConfigError(
                f"group {self.name} spreads over tp {self.tp} x pp {self.pp}, image models run on "
                "one device; put them into a group of their own"
            )

    @property
    def num_devices(self) -> int:
        """Of one replica."""
        return self.tp * self.pp

    @property
    def limits(self) -> DeviceLimits:
        return DeviceLimits(
            text=self.text, images=self.images, encoders=self.encoders, num_lanes=self.num_lanes
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """`router` spreads requests over the replicas that hold their model (see sim/router.py)."""

    groups: tuple[ReplicaGroup, ...]
    router: str = "least-work"

    def __post_init__(self) -> None:
        if not self.groups:
            raise ConfigError("a deployment of no replicas; give at least one group")
        names = [group.name for group in self.groups]
        if len(set(names)) < len(names):
            raise ConfigError(f"two groups share a name: {', '.join(names)}")

    @property
    def num_devices(self) -> int:
        return sum(group.num_replicas * group.num_devices for group in self.groups)
