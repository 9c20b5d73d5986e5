"""Loads encoders and classifiers for serving: each base once, heads and adapters on top.

--embed minilm-l6-v2                   group minilm-l6-v2: embeddings
--classify a (probe on the same base)  the same group: one batch serves both
--classify b (LoRA on the same base)   group b: the same weights, wearing b
--classify c (full weights)            group c: weights of its own
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from loadsheet.cost.ledger import LedgerLine, Owner
from loadsheet.engine.assets import ensure_assets
from loadsheet.engine.assets.checksum import sha256_of
from loadsheet.engine.assets.entry import EntryKind, load_catalogue
from loadsheet.engine.assets.image_folder import packaged_models
from loadsheet.engine.encoder.classifier_folder import (
    CLASSIFIER,
    FULL_WEIGHTS,
    LORA_CONFIG,
    ClassifierFacts,
    Head,
    read_facts,
    read_head,
)
from loadsheet.engine.encoder.encoder_codec import EncoderTokenizer
from loadsheet.engine.encoder.encoder_engine import EncoderEngine, SharedEncoder
from loadsheet.engine.encoder.encoder_folder import load_encoder
from loadsheet.engine.encoder.peft_adapter import read_peft_adapter
from loadsheet.engine.image.lora import Adapters
from loadsheet.engine.image.text_encoder import States
from loadsheet.engine.torch_device import Placement
from loadsheet.errors import AssetError, ConfigError
from loadsheet.runtime.model_card import EncoderModelCard
from loadsheet.runtime.open_device import Phase
from loadsheet.sched.limits import EncoderLimits

_MAX_BATCH = 32
_MAX_BATCH_TOKENS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTextEncoder:
    """An encoder that an image model holds already: its weights' hash, and who owns them.

    `states` computes the same as `model`, by share of the device.
    """

    sha256: str
    model: nn.Module
    owner: str
    states: Mapping[float, States] = field(default_factory=dict)


Compile = Callable[[Path, nn.Module], tuple[Mapping[float, States], int]]
"""The folder's encoder for every share of the device, and the bytes that its weights take there."""


@dataclass(slots=True)
class EncoderBoarding:
    """What has been loaded so far. `loaned` encoders belong to an image model and weigh nothing
    more."""

    placement: Placement
    max_waiting: int
    on_phase: Callable[[str], None]
    cache_dir: Path | None = None
    loaned: tuple[ImageTextEncoder, ...] = ()
    compile: Compile | None = None
    engines: dict[str, EncoderEngine] = field(default_factory=dict)
    limits: list[EncoderLimits] = field(default_factory=list)
    cards: list[EncoderModelCard] = field(default_factory=list)
    lines: list[LedgerLine] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)
    _bases: dict[str, SharedEncoder] = field(default_factory=dict)
    _heads: dict[str, dict[str, Head]] = field(default_factory=dict)

    def embed(self, ref: str) -> None:
        """Serve embeddings of a catalogue encoder or a folder."""
        name, folder = resolve_encoder(ref, self.cache_dir)
        shared = self._base(name, folder)
        self._open_group(name, shared, {}, None)
        self._add_card(name, group=name, shared=shared, max_tokens=shared.base.max_tokens)

    def classify(self, ref: Path) -> None:
        """Serve the classifier in a folder, or one that ships, under the folder's name."""
        folder = classifier_folder(ref)
        facts, name = read_facts(folder), folder.resolve().name
        base_name, base_folder = _base_of(facts, folder, name, self.cache_dir)
        shared = self._base(base_name, base_folder)
        head = read_head(folder, len(facts.labels), shared.base.hidden_size)
        if (folder / LORA_CONFIG).exists():
            group = name
            num_bytes = shared.adapters.hold(name, read_peft_adapter(folder), folder)
            self._line(name, "LoRA adapter", num_bytes)
            self._open_group(group, shared, {name: head}, name)
        else:
            group = base_name
            self._open_group(group, shared, {name: head}, None)
        self._line(name, "head", 4 * (head.weight_LD.numel() + head.bias_L.numel()))
        max_tokens = min(facts.max_tokens, shared.base.max_tokens)
        self._add_card(name, group=group, shared=shared, max_tokens=max_tokens, labels=facts.labels)

    def _base(self, name: str, folder: Path) -> SharedEncoder:
        """Loaded once, whoever asks first; bases are told apart by their weights."""
        weights = folder / FULL_WEIGHTS
        if not weights.is_file():
            raise AssetError(f"{folder} has no {FULL_WEIGHTS}; other weight files are not read")
        sha256 = sha256_of(weights)
        if sha256 not in self._bases:
            start_s = time.perf_counter()
            self.on_phase(f"loading {name}")
            loan = next((one for one in self.loaned if one.sha256 == sha256), None)
            model = None if loan is None else loan.model
            base = load_encoder(folder, self.placement, model)
            states = {} if loan is None else loan.states
            if self.compile is not None and not states:
                states, packed_bytes = self.compile(folder, base.model)
                self._line(name, "encoder, packed", packed_bytes)
            shared = SharedEncoder(base=base, adapters=Adapters(base.model), states=states)
            part = "encoder" if loan is None else f"encoder (shared with {loan.owner})"
            self._line(name, part, shared.weight_bytes if loan is None else 0)
            self._bases[sha256] = shared
            self.phases.append(Phase(name=f"load {name}", seconds=time.perf_counter() - start_s))
        return self._bases[sha256]

    def _open_group(
        self, group: str, shared: SharedEncoder, heads: Mapping[str, Head], adapter: str | None
    ) -> None:
        """Or add heads to one that is open; then its engine is made again, before anything ran."""
        if group not in self.engines:
            max_tokens = shared.base.max_tokens
            if not self.engines:  # one pass at a time: the largest batch of any of them
                self.lines.append(_activations(group, shared))
            self.limits.append(
                EncoderLimits(
                    model=group,
                    max_tokens=max_tokens,
                    max_batch=_MAX_BATCH,
                    max_batch_tokens=_MAX_BATCH_TOKENS,
                    max_waiting=self.max_waiting,
                )
            )
        self._heads.setdefault(group, {}).update(heads)
        self.engines[group] = EncoderEngine(shared, self._heads[group], adapter)

    def _add_card(
        self,
        name: str,
        *,
        group: str,
        shared: SharedEncoder,
        max_tokens: int,
        labels: tuple[str, ...] = (),
    ) -> None:
        self.cards.append(
            EncoderModelCard(
                name=name,
                group=group,
                labels=labels,
                max_tokens=max_tokens,
                embedding_size=shared.base.hidden_size,
                codec=EncoderTokenizer(shared.base.tokenizer),
            )
        )

    def _line(self, model: str, part: str, num_bytes: int) -> None:
        line = LedgerLine(owner=Owner.WEIGHTS, model=model, part=part, num_bytes=num_bytes)
        self.lines.append(line)


def _activations(group: str, shared: SharedEncoder) -> LedgerLine:
    """What a full batch holds at once in one layer: states and their projections (6 × D), the two
    sides of the feed-forward part (8 × D), and the attention weights of texts as long as can be."""
    base = shared.base
    tokens, width = _MAX_BATCH_TOKENS, base.hidden_size
    parameter = next(base.model.parameters())
    scores = tokens * base.max_tokens * base.num_heads
    num_bytes = (14 * tokens * width + scores) * parameter.element_size()
    part = f"{_MAX_BATCH_TOKENS} tokens"
    return LedgerLine(owner=Owner.ACTIVATIONS, model=group, part=part, num_bytes=num_bytes)


def classifier_folder(ref: Path) -> Path:
    """A folder, or the name of a classifier that ships with this package."""
    folder = ref.expanduser()
    if folder.is_dir():
        return folder
    shipped = {one.parent.name: one.parent for one in packaged_models().glob(f"*/{CLASSIFIER}")}
    if str(ref) in shipped:
        return shipped[str(ref)]
    raise AssetError(
        f"there is no folder {folder}, and of the classifiers that ship ({', '.join(shipped)}) "
        "none is called so"
    )


def encoder_assets(embed: str | None, classify: Sequence[Path]) -> list[str]:
    """The catalogue's encoders that these need, to be fetched before anything is loaded."""
    catalogue = load_catalogue()
    refs = [embed, *(read_facts(classifier_folder(folder)).base for folder in classify)]
    encoders = [name for name, entry in catalogue.items() if entry.kind is EntryKind.ENCODER]
    return [name for name in encoders if name in refs]


def resolve_encoder(ref: str, cache_dir: Path | None) -> tuple[str, Path]:
    """Name and folder of a catalogue encoder, fetched if need be, or of a folder."""
    catalogue = load_catalogue()
    if ref in catalogue and catalogue[ref].kind is EntryKind.ENCODER:
        return ref, ensure_assets([ref], cache_dir)[ref]
    folder = Path(ref).expanduser()
    if not folder.is_dir():
        known = [name for name, entry in catalogue.items() if entry.kind is EntryKind.ENCODER]
        raise ConfigError(
            f"no encoder {ref!r}: neither a folder nor one of the catalogue's {', '.join(known)}"
        )
    return folder.resolve().name, folder


def _base_of(
    facts: ClassifierFacts, folder: Path, name: str, cache_dir: Path | None
) -> tuple[str, Path]:
    """The encoder that a classifier needs; raises AssetError when it is another one by now."""
    if facts.base is None:
        return name, folder
    base_name, base_folder = resolve_encoder(facts.base, cache_dir)
    found = sha256_of(base_folder / FULL_WEIGHTS)
    if facts.base_sha256 not in (None, found):
        raise AssetError(
            f"{folder} was trained on {facts.base} with sha256 {facts.base_sha256}, but "
            f"{base_folder} has {found}; adapt it again with this encoder"
        )
    return base_name, base_folder
