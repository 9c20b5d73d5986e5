"""Opens a device: resolves what `auto` means, loads the models, weighs them."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from loadsheet.cache_root import cache_root
from loadsheet.cost.ledger import Ledger, LedgerLine, Owner
from loadsheet.engine.adapter_host import TorchAdapterHost
from loadsheet.engine.assets import ModelKind, ResolvedModel, resolve_model
from loadsheet.engine.assets.checksum import sha256_of
from loadsheet.engine.compiled import compiler_of
from loadsheet.engine.encoder.boarding import EncoderBoarding, ImageTextEncoder
from loadsheet.engine.encoder.classifier_folder import FULL_WEIGHTS
from loadsheet.engine.engine_choice import OPENVINO, TORCH, EngineChoice, choose_engine
from loadsheet.engine.image.image_engine import ImageEngine
from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.engine.image.pipeline_folder import open_pipeline
from loadsheet.engine.image.text_encoder import MiniLMTextEncoder
from loadsheet.engine.text.text_engine import TextEngine
from loadsheet.engine.text.text_model import TextModel, TorchTextModel
from loadsheet.engine.text.tokenizer import FolderTokenizer
from loadsheet.engine.torch_device import Placement
from loadsheet.engine.torch_executor import TorchExecutor
from loadsheet.errors import ConfigError
from loadsheet.runtime.device_config import DeviceConfig
from loadsheet.runtime.model_card import ImageModelCard, ModelCard, TextModelCard
from loadsheet.runtime.open_device import OpenDevice, Phase
from loadsheet.sched.lane_rule import TEXT_LANE
from loadsheet.sched.limits import DeviceLimits, ImageLimits, ImageSize, TextLimits

if TYPE_CHECKING:
    from loadsheet.engine.openvino.image_networks import ImageNetworks

OnPhase = Callable[[str], None]

_TORCH_BLOCK_TOKENS = 16
# One step reads at most this much of prompts: OpenVINO reads 1024 tokens faster than twice 512.
_CHUNK_TOKENS = {TORCH: 512, OPENVINO: 1024}
_MAX_STEPS = 100


@dataclass(slots=True)
class _Boarding:
    """What has been loaded so far."""

    config: DeviceConfig
    choice: EngineChoice
    on_phase: OnPhase
    phases: list[Phase] = field(default_factory=list)
    lines: list[LedgerLine] = field(default_factory=list)
    cards: list[ModelCard] = field(default_factory=list)
    text_limits: list[TextLimits] = field(default_factory=list)
    image_limits: list[ImageLimits] = field(default_factory=list)
    text_engines: dict[str, TextEngine] = field(default_factory=dict)
    image_engines: dict[str, ImageEngine] = field(default_factory=dict)
    text_encoders: list[ImageTextEncoder] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def placement(self) -> Placement:
        return self.choice.placement

    def time(self, name: str, start_s: float) -> None:
        self.phases.append(Phase(name=name, seconds=time.perf_counter() - start_s))


def open_device(config: DeviceConfig, on_phase: OnPhase) -> OpenDevice:
    """Load the configured models onto one device.

    `on_phase` is told what is being done. Raises CapacityError when the ledger exceeds
    `config.memory_bytes`, ConfigError and AssetError for models that cannot be had or served.

    Everything runs in a thread that ends with the loading. Each thread that computes keeps a team
    of OpenMP workers as long as it lives; with a second team beside the lane's there are more
    workers than cores, libgomp stops spinning at its barriers, and a decode step of 12 ms takes 20.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="load") as loader:
        return loader.submit(_open, config, on_phase).result()


def _open(config: DeviceConfig, on_phase: OnPhase) -> OpenDevice:
    if config.num_threads is not None:
        torch.set_num_threads(config.num_threads)
    choice = choose_engine(config)
    boarding = _Boarding(config, choice, on_phase)
    if config.text is not None:
        _board_text(boarding, _resolve(boarding, config.text, ModelKind.TEXT))
    if config.image is not None:
        _board_image(boarding, _resolve(boarding, config.image, ModelKind.IMAGE))
    encoders = _board_encoders(boarding)
    ledger = Ledger(lines=tuple(boarding.lines))
    if config.memory_bytes is not None:
        ledger.check(config.memory_bytes)
    adapters = TorchAdapterHost(boarding.image_engines, boarding.cards, ledger, config.memory_bytes)
    for ref in config.image_adapters:
        on_phase(f"loading adapter {ref.name}")
        boarding.cards.append(adapters.load(next(iter(boarding.image_engines)), ref))
    return OpenDevice(
        executor=TorchExecutor(
            boarding.text_engines, boarding.image_engines, encoders.engines, choice.cores
        ),
        limits=DeviceLimits(
            num_lanes=_num_lanes(boarding, encoders),
            text=tuple(boarding.text_limits),
            images=tuple(boarding.image_limits),
            encoders=tuple(encoders.limits),
        ),
        cards=tuple(boarding.cards),
        ledger=adapters.ledger,
        phases=tuple(boarding.phases),
        facts=_facts(choice),
        notes=tuple(boarding.notes),
        adapters=adapters,
    )


def _resolve(boarding: _Boarding, ref: str, kind: ModelKind) -> ResolvedModel:
    boarding.on_phase(f"finding {ref}")
    model = resolve_model(ref, boarding.config.cache_dir)
    if model.kind is not kind:
        raise ConfigError(f"{ref} is a model for {model.kind}; it cannot be used as --{kind}")
    return model


def _board_text(boarding: _Boarding, model: ResolvedModel) -> None:
    config, start_s = boarding.config, time.perf_counter()
    boarding.on_phase(f"loading {model.name}")
    engine = TextEngine(_open_text(boarding, model), FolderTokenizer(model.path))
    boarding.time(f"load {model.name}", start_s)
    boarding.text_engines[model.name] = engine
    boarding.text_limits.append(
        TextLimits(
            model=model.name,
            num_blocks=engine.num_blocks,
            block_tokens=engine.block_tokens,
            max_context_tokens=engine.max_context_tokens,
            max_waiting=config.max_waiting_text,
            max_chunk_tokens=_CHUNK_TOKENS[boarding.choice.name],
        )
    )
    boarding.cards.append(
        TextModelCard(
            name=model.name,
            max_context_tokens=engine.max_context_tokens,
            vocab_size=engine.vocab_size,
            codec=engine.tokenizer,
            slo=config.text_slo,
        )
    )
    boarding.lines += [
        _line(Owner.WEIGHTS, model.name, "decoder", engine.weight_bytes),
        _line(Owner.KV_BLOCKS, model.name, "", engine.kv_bytes),
    ]


def _open_text(boarding: _Boarding, model: ResolvedModel) -> TextModel:
    config, choice = boarding.config, boarding.choice
    if choice.cores is None:
        return TorchTextModel.from_folder(
            model.path,
            boarding.placement,
            kv_bytes=config.kv_bytes,
            block_tokens=_TORCH_BLOCK_TOKENS,
        )
    # an optional back end
    from loadsheet.engine.openvino.text_model import OpenVinoTextModel

    return OpenVinoTextModel.from_folder(
        model.path,
        dtype=choice.weights,
        precision=choice.precision,
        kv_bytes=config.kv_bytes,
        cache_dir=cache_root(config.cache_dir) / OPENVINO,
        shares=choice.cores.shares(TEXT_LANE),
    )


def _board_image(boarding: _Boarding, model: ResolvedModel) -> None:
    config, start_s = boarding.config, time.perf_counter()
    boarding.on_phase(f"loading {model.name}")
    pipeline = open_pipeline(model.path, boarding.placement)
    compiled = _compile_image(boarding, model, pipeline)
    engine = ImageEngine(pipeline, compiled.of_share if compiled else None)
    boarding.time(f"load {model.name}", start_s)
    boarding.image_engines[model.name] = engine
    sizes = tuple(
        ImageSize(width=width, height=height, state_bytes=engine.state_bytes(width, height))
        for width, height in engine.sizes
    )
    limits = ImageLimits(
        model=model.name,
        sizes=sizes,
        budget_bytes=config.latent_bytes,
        max_steps=_MAX_STEPS,
        max_waiting=config.max_waiting_images,
    )
    boarding.image_limits.append(limits)
    boarding.cards.append(
        ImageModelCard(
            name=model.name,
            sizes=engine.sizes,
            default_num_steps=pipeline.default_num_steps,
            max_num_steps=_MAX_STEPS,
            default_guidance_scale=pipeline.default_guidance_scale,
            slo=config.image_slo,
        )
    )
    boarding.lines += [
        _line(Owner.WEIGHTS, model.name, part, num_bytes)
        for part, num_bytes in engine.weight_bytes.items()
    ]
    peak = max(engine.vae_peak_bytes(*size, batch=limits.max_batch) for size in engine.sizes)
    boarding.lines += [
        _line(Owner.LATENTS, model.name, "", config.latent_bytes),
        _line(Owner.VAE_PEAK, model.name, f"{limits.max_batch} images", peak),
    ]
    if isinstance(pipeline.encode, MiniLMTextEncoder):
        weights = model.path / "text_encoder" / FULL_WEIGHTS
        boarding.text_encoders.append(
            ImageTextEncoder(
                sha256=sha256_of(weights),
                model=pipeline.encode.model,
                owner=model.name,
                states=compiled.states if compiled else {},
            )
        )
    if pipeline.note:
        boarding.notes.append(pipeline.note)


def _board_encoders(boarding: _Boarding) -> EncoderBoarding:
    config = boarding.config
    compiler = compiler_of(config, boarding.choice)
    encoders = EncoderBoarding(
        placement=boarding.placement,
        max_waiting=config.max_waiting_encodes,
        on_phase=boarding.on_phase,
        cache_dir=config.cache_dir,
        loaned=tuple(boarding.text_encoders),
        compile=compiler.encoder if compiler else None,
    )
    if config.embed is not None:
        encoders.embed(config.embed)
    for folder in config.classify:
        encoders.classify(folder)
    boarding.lines += encoders.lines
    boarding.cards += encoders.cards
    boarding.phases += encoders.phases
    return encoders


def _compile_image(
    boarding: _Boarding, model: ResolvedModel, pipeline: ImagePipeline
) -> "ImageNetworks | None":
    """None where torch computes images."""
    compiler = compiler_of(boarding.config, boarding.choice)
    if compiler is None:
        return None
    boarding.on_phase(f"compiling {model.name}")
    networks = compiler.image(model.path, pipeline)
    boarding.lines += [
        _line(Owner.WEIGHTS, model.name, f"{part}, packed", num_bytes)
        for part, num_bytes in networks.packed_bytes.items()
    ]
    return networks


def _num_lanes(boarding: _Boarding, encoders: EncoderBoarding) -> int:
    """Two where there is something to run beside text."""
    has_both = boarding.text_limits and (boarding.image_limits or encoders.limits)
    return boarding.choice.num_lanes if has_both else 1


def _line(owner: Owner, model: str, part: str, num_bytes: int) -> LedgerLine:
    return LedgerLine(owner=owner, model=model, part=part, num_bytes=num_bytes)


def _facts(choice: EngineChoice) -> dict[str, str]:
    facts = {
        "device": str(choice.placement.device),
        "engine": choice.name,
        "dtype": "int8" if choice.weights == "int8" else str(choice.placement.dtype)[6:],
        "torch": torch.__version__,
    }
    if choice.cores is not None:
        facts["threads"] = str(len(choice.cores.numbers))
        facts["cores"] = choice.cores.describe()
    elif choice.placement.device.type == "cpu":
        facts["threads"] = str(torch.get_num_threads())
    return facts
