"""The models we know by name: one TOML file each, with its source, its date and who checked it.

An entry holds the published configuration itself, so it is read by the same code as a user's
`config.json`. A pipeline names other entries for its parts.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import UnionType

from loadsheet.errors import SpecError
from loadsheet.specs.decoder import DecoderSpec
from loadsheet.specs.from_hf import from_hf
from loadsheet.specs.hf_config import HfConfig
from loadsheet.specs.pipeline import Component, PipelineSpec, Role, TextEncoder
from loadsheet.specs.spec import DenoiserSpec, EncoderSpec, ModelSpec, VaeSpec

_FOLDER = Path(__file__).parent / "catalog"
# what a hub adds to a name without changing the architecture
_VARIANT = re.compile(
    r"(-(instruct|chat|it|hf|base|fp8|fp4|bf16|awq|gptq|diffusers|preview|dynamic|v\d+(\.\d+)*|\d{4}))+$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`checked` says what confirmed the numbers: "counter" (FLOPs and parameters of the published
    class), "params" (its parameter count), or "memory" (nothing yet)."""

    name: str
    aliases: tuple[str, ...]
    source: str
    date: str
    checked: str
    model: ModelSpec | PipelineSpec
    fields: Mapping[str, object]

    @property
    def kind(self) -> str:
        """`decoder`, `encoder`, `pipeline`, `denoiser` or `vae`."""
        if isinstance(self.model, PipelineSpec):
            return "pipeline"
        for kind, specs in _KINDS.items():
            if isinstance(self.model, specs):
                return kind
        raise AssertionError("unreachable: every spec has a kind")

    def components(self) -> tuple[Component, ...]:
        if isinstance(self.model, PipelineSpec):
            return tuple(_pipeline_components(self.model))
        role = {"decoder": Role.DECODER, "encoder": Role.ENCODER, "denoiser": Role.DENOISER}
        if isinstance(self.model, VaeSpec):
            return tuple(_vae_components(self.model))
        return (Component(name=self.name, role=role[self.kind], spec=self.model),)

    def component(self, label: str) -> Component:
        """By role, or `text_encoder:NAME`; a text encoder also answers to `encoder`."""
        found = {component.label: component for component in self.components()}
        if label in found:
            return found[label]
        role, _, name = label.partition(":")
        own = self.model
        is_asked = role in (Role.ENCODER, Role.TEXT_ENCODER) and name in ("", self.name)
        if is_asked and isinstance(own, DecoderSpec | EncoderSpec):
            return Component(name=self.name, role=Role.TEXT_ENCODER, spec=own)
        near = get_close_matches(label, found, n=1, cutoff=0.3)
        hint = f"; nearest: {near[0]}" if near else ""
        raise SpecError(f"{self.name} has no {label!r}, only {', '.join(found)}{hint}")


_KINDS: dict[str, UnionType | type] = {
    "decoder": DecoderSpec,
    "encoder": EncoderSpec,
    "vae": VaeSpec,
    "denoiser": DenoiserSpec,
}


@dataclass(slots=True)
class Catalog:
    """Entries of a folder, read on first use."""

    folder: Path = _FOLDER
    _entries: dict[str, Entry] = field(default_factory=dict)
    _index: dict[str, str] = field(default_factory=dict)

    def names(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.toml"))

    def entries(self) -> Iterator[Entry]:
        for name in self.names():
            yield self._load(name)

    def find(self, name: str) -> Entry:
        """By canonical name, alias, hub id or any of them with a variant suffix."""
        key = _plain(name)
        if (self.folder / f"{key}.toml").exists():
            return self._load(key)
        index = self._alias_index()
        for candidate in (key, _VARIANT.sub("", key)):
            if candidate in index:
                return self._load(index[candidate])
        near = get_close_matches(key, index, n=3, cutoff=0.2)
        nearest = list(dict.fromkeys(index.get(word, word) for word in near))
        raise SpecError(f"model {name!r} is unknown; nearest: {', '.join(nearest)}")

    def component(self, model: str, label: str) -> Component:
        """As `Entry.component`, with any alias of a text encoder's name."""
        entry = self.find(model)
        role, _, name = label.partition(":")
        if role == Role.TEXT_ENCODER and name:
            try:
                label = f"{role}:{self.find(name).name}"
            except SpecError:
                return entry.component(label)
        return entry.component(label)

    def search(self, words: str) -> list[Entry]:
        """Entries whose name or alias contains every word."""
        wanted = words.lower().split()
        return [
            entry
            for entry in self.entries()
            if all(any(word in name for name in (entry.name, *entry.aliases)) for word in wanted)
        ]

    def _load(self, name: str) -> Entry:
        if name not in self._entries:
            self._entries[name] = _entry(_read(self.folder / f"{name}.toml"), self)
        return self._entries[name]

    def _alias_index(self) -> dict[str, str]:
        if not self._index:
            loose: dict[str, set[str]] = {}
            for name in self.names():
                fields = _read(self.folder / f"{name}.toml")
                for alias in (name, *(str(item) for item in _list(fields, "aliases"))):
                    self._index[_plain(alias)] = name
                    loose.setdefault(_VARIANT.sub("", _plain(alias)), set()).add(name)
            for stem, owners in loose.items():
                if len(owners) == 1:
                    self._index.setdefault(stem, next(iter(owners)))
        return self._index


def _plain(name: str) -> str:
    """Lower case without the organisation."""
    return name.strip().lower().rpartition("/")[2].replace("_", "-")


def _entry(fields: Mapping[str, object], catalog: Catalog) -> Entry:
    config = HfConfig(fields, str(fields.get("name", "catalogue entry")))
    return Entry(
        name=config.text("name"),
        aliases=tuple(str(item) for item in config.items("aliases", ())),
        source=config.text("source"),
        date=config.text("date"),
        checked=config.text("checked"),
        model=_pipeline(config, catalog) if config.has("denoiser") else _single(config),
        fields=fields,
    )


def _single(config: HfConfig) -> ModelSpec:
    return from_hf(config.child("config").fields, config.where)


def _pipeline(config: HfConfig, catalog: Catalog) -> PipelineSpec:
    loop = config.child("pipeline")
    denoiser = _part(config.child("denoiser"), catalog)
    vae = _part(config.child("vae"), catalog) if config.has("vae") else None
    if not isinstance(denoiser, DenoiserSpec) or not isinstance(vae, VaeSpec | None):
        raise SpecError(f"{config.where}: denoiser or vae is of another kind")
    encoders = config.child("text_encoders").fields if config.has("text_encoders") else {}
    return PipelineSpec(
        text_encoders=tuple(
            _text_encoder(HfConfig(_table(part, name), f"{config.where} {name}"), name, catalog)
            for name, part in encoders.items()
        ),
        denoiser=denoiser,
        vae=vae,
        width=loop.positive("width"),
        height=loop.positive("height"),
        frames=loop.positive("frames", 1),
        steps=loop.positive("steps"),
        is_guided=loop.flag("is_guided", False),
        text_tokens=loop.integer("text_tokens", 0),
    )


def _text_encoder(config: HfConfig, name: str, catalog: Catalog) -> TextEncoder:
    return TextEncoder(name=name, spec=_part(config, catalog), tokens=config.positive("tokens"))


def _part(config: HfConfig, catalog: Catalog) -> ModelSpec:
    """Another entry, some of its settings changed, or a configuration of its own."""
    if not config.has("entry"):
        return from_hf(config.fields, config.where)
    fields = catalog.find(config.text("entry")).fields
    base = _table(fields.get("config"), config.where)
    changes = _table(config.fields.get("changes", {}), config.where)
    return from_hf({**base, **changes}, config.where)


def _pipeline_components(pipeline: PipelineSpec) -> Iterator[Component]:
    for encoder in pipeline.text_encoders:
        yield Component(name=encoder.name, role=Role.TEXT_ENCODER, spec=encoder.spec)
    yield Component(
        name="denoiser",
        role=Role.DENOISER,
        spec=pipeline.denoiser,
        factor=pipeline.factor,
        time_factor=pipeline.time_factor,
    )
    if pipeline.vae:
        yield from _vae_components(pipeline.vae)


def _vae_components(vae: VaeSpec) -> Iterator[Component]:
    yield Component(name="vae", role=Role.VAE_DECODE, spec=vae)
    yield Component(name="vae", role=Role.VAE_ENCODE, spec=vae)


def _read(path: Path) -> dict[str, object]:
    with path.open("rb") as handle:
        return tomllib.load(handle)


def _list(fields: Mapping[str, object], key: str) -> list[object]:
    value = fields.get(key, [])
    return list(value) if isinstance(value, list) else []


def _table(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise SpecError(f"{where}: expected a table, found {value!r}")
    return value
