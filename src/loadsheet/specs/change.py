"""What-if: a spec with one field changed, checked against the rules of its architecture."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from difflib import get_close_matches
from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar, get_args

from loadsheet.errors import ConfigError
from loadsheet.specs.decoder import DecoderSpec, Experts, GroupedAttention, LayerGroup
from loadsheet.specs.pipeline import PipelineSpec
from loadsheet.specs.spec import ModelSpec

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Value = int | bool | None | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """`kv_heads=2`: a field by its name in the spec, wherever it sits. A list takes as many values
    as it has: `channels=320,640,1280`."""

    field: str
    value: Value


def parse_change(text: str) -> Change:
    name, separator, value = text.partition("=")
    if not separator or not name.strip():
        raise ConfigError(f"--set {text!r} is not of the form field=value")
    words: dict[str, Value] = {"true": True, "false": False, "none": None}
    word = value.strip().lower()
    if word in words:
        return Change(name.strip(), words[word])
    try:
        numbers = tuple(int(part) for part in word.split(","))
    except ValueError as error:
        raise ConfigError(f"--set {text!r}: {value!r} is not a whole number") from error
    if min(numbers) < 1:
        raise ConfigError(f"--set {text!r}: {min(numbers)} is below 1")
    return Change(name.strip(), numbers[0] if len(numbers) == 1 else numbers)


def changed(model: ModelSpec | PipelineSpec, changes: Sequence[Change]) -> ModelSpec | PipelineSpec:
    for change in changes:
        model = _apply(model, change)
    return model


def _apply(model: ModelSpec | PipelineSpec, change: Change) -> ModelSpec | PipelineSpec:
    if isinstance(model, DecoderSpec):
        return _apply_decoder(model, change)
    if isinstance(model, PipelineSpec) and change.field not in _names(model):
        if change.field not in _names(model.denoiser):
            raise _unknown(change.field, [*_names(model), *_names(model.denoiser)])
        return replace(model, denoiser=_edited(model.denoiser, change))
    if change.field not in _names(model):
        raise _unknown(change.field, _names(model))
    return _edited(model, change)


def _apply_decoder(spec: DecoderSpec, change: Change) -> DecoderSpec:
    """Fields of the attention and of the MLP change in every layer that has them."""
    if change.field == "num_layers":
        return _with_layers(spec, change)
    if change.field in _names(spec):
        return _edited(spec, change)
    groups = tuple(_apply_group(group, change) for group in spec.layers)
    if groups == spec.layers and not any(_has(group, change.field) for group in groups):
        inner = [name for group in groups for name in _group_names(group)]
        raise _unknown(change.field, [*_names(spec), "num_layers", *inner])
    return replace(spec, layers=groups)


def _with_layers(spec: DecoderSpec, change: Change) -> DecoderSpec:
    """Layers of several kinds keep their proportions."""
    if not isinstance(change.value, int):
        raise ConfigError(f"num_layers is {change.value!r}, expected a whole number")
    share = change.value / spec.num_layers
    counts = [max(1, round(group.count * share)) for group in spec.layers]
    if sum(counts) != change.value:
        raise ConfigError(
            f"{change.value} layers cannot keep the proportions of "
            f"{' + '.join(str(group.count) for group in spec.layers)} layers"
        )
    layers = [replace(group, count=count) for group, count in zip(spec.layers, counts, strict=True)]
    return replace(spec, layers=tuple(layers))


def _apply_group(group: LayerGroup, change: Change) -> LayerGroup:
    attention, feed_forward = group.attention, group.feed_forward
    if change.field in _names(attention):
        attention = _edited(attention, change)
    elif change.field in _names(feed_forward):
        feed_forward = _edited(feed_forward, change)
    if isinstance(attention, GroupedAttention) and attention.heads % attention.kv_heads:
        raise ConfigError(
            f"{attention.heads} heads are not a multiple of {attention.kv_heads} key-value heads; "
            f"choose a divisor of {attention.heads}"
        )
    if isinstance(feed_forward, Experts) and feed_forward.active > feed_forward.num:
        raise ConfigError(
            f"{feed_forward.active} active experts are more than the {feed_forward.num} there are"
        )
    return replace(group, attention=attention, feed_forward=feed_forward)


_Edited = TypeVar("_Edited", bound="DataclassInstance")


def _edited(spec: _Edited, change: Change) -> _Edited:
    """A copy with the field changed, if the value is of the kind that the field holds."""
    held = next(one for one in fields(spec) if one.name == change.field)
    now = attrgetter(change.field)(spec)
    if not _is_alike(change.value, now, kinds=get_args(held.type)):
        raise ConfigError(
            f"--set: {change.field} is {_said(now)} and cannot become {_said(change.value)}"
        )
    return replace(spec, **{change.field: change.value})


def _is_alike(value: Value, now: object, *, kinds: tuple[object, ...]) -> bool:
    """`kinds` are the alternatives of a field such as `int | None`."""
    if value is None or now is None:
        return type(value) in kinds
    if isinstance(now, tuple):
        is_list = all(type(item) is int for item in now)
        return is_list and isinstance(value, tuple) and len(value) == len(now)
    return type(value) is type(now) and isinstance(now, int)


def _said(value: object) -> str:
    if isinstance(value, tuple) and all(type(item) is int for item in value):
        return f"a list of {len(value)} ({','.join(map(str, value))})"
    return "a part of its own" if is_dataclass(value) or isinstance(value, tuple) else repr(value)


def _has(group: LayerGroup, name: str) -> bool:
    return name in _group_names(group)


def _group_names(group: LayerGroup) -> list[str]:
    return [*_names(group.attention), *_names(group.feed_forward)]


def _names(value: object) -> list[str]:
    assert is_dataclass(value)
    return [field.name for field in fields(value)]


def _unknown(name: str, known: Sequence[str]) -> ConfigError:
    words = list(dict.fromkeys(known))
    near = ", ".join(get_close_matches(name, words, n=3, cutoff=0.4)) or ", ".join(words)
    return ConfigError(f"--set: the spec has no field {name!r}; nearest: {near}")
