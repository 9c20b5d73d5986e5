"""A small convolutional network that names what an icon shows: the judge of generated pictures.

It is trained on real icons only, by label: a concept, a subgroup or a style, as the caller says.
Every training picture is turned, moved, zoomed, mirrored, tinted, blurred and given noise, so that
the judge looks at shapes and colours and not at exact pixels. `features` are what Frechet and
neighbour distances are measured in (the role of Inception features in FID, Heusel et al. 2017).

Shapes: B batch, N images, C channels, H W pixels, D features, L labels.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from loadsheet.adapt.loop import LoopConfig, Trainer
from loadsheet.adapt.observer import TrainingObserver
from loadsheet.errors import AssetError, ConfigError

CONFIG_NAME, WEIGHTS_NAME = "classifier.json", "classifier.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierConfig:
    """Architecture and augmentation. Each of `widths` is a residual block at half the side."""

    image_size: int = 64
    widths: tuple[int, ...] = (32, 64, 128, 256)
    batch_size: int = 64
    label_smoothing: float = 0.1
    max_turn_degrees: float = 15.0
    max_shift: float = 0.08
    min_zoom: float = 0.8
    max_zoom: float = 1.15
    mirrored_share: float = 0.5
    blurred_share: float = 0.5
    max_tint: float = 0.15
    max_noise: float = 0.1


def default_loop(num_steps: int = 1500, seed: int = 0) -> LoopConfig:
    """How a judge is trained unless told otherwise."""
    return LoopConfig(
        num_steps=num_steps,
        learning_rate=2e-3,
        weight_decay=0.05,
        ema_decay=0.99,
        checkpoint_every=500,
        seed=seed,
    )


class _Block(nn.Module):
    """Two 3×3 convolutions at half the side, beside a 1×1 shortcut."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride=2, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut = nn.Conv2d(channels_in, channels, 1, stride=2, bias=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y_BCHW = functional.relu(self.norm1(self.conv1(x_BCHW)))
        return functional.relu(self.norm2(self.conv2(y_BCHW)) + self.shortcut(x_BCHW))


class IconClassifier(nn.Module):
    """Residual blocks, their global mean as features, one linear layer to the labels."""

    def __init__(self, labels: Sequence[str], config: ClassifierConfig) -> None:
        super().__init__()
        if len(set(labels)) != len(labels) or len(labels) < 2:
            raise ConfigError(f"a classifier needs 2 or more distinct labels, got {len(labels)}")
        self.labels = tuple(labels)
        self.config = config
        widths = (3, *config.widths)
        self.blocks = nn.Sequential(*map(_Block, widths[:-1], widths[1:]))
        self.head = nn.Linear(widths[-1], len(labels))
        # torch accepts memory_format here; its annotations do not say so
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def embed(self, x_BCHW: Tensor) -> Tensor:
        """Features [B, D] of pictures in [-1, 1]."""
        features_BD: Tensor = self.blocks(x_BCHW).mean(dim=(2, 3))
        return features_BD

    def forward(self, x_BCHW: Tensor) -> Tensor:
        logits_BL: Tensor = self.head(self.embed(x_BCHW))
        return logits_BL

    @torch.no_grad()
    def features(self, images: npt.NDArray[np.uint8], batch_size: int = 64) -> Tensor:
        """uint8 [N, H, W, 3] of any size -> float [N, D]."""
        self.eval()
        starts = range(0, len(images), batch_size)
        chunks = [self.embed(self._pixels(images[i : i + batch_size])).float() for i in starts]
        return torch.cat(chunks) if chunks else torch.empty(0, self.config.widths[-1])

    @torch.no_grad()
    def predict(self, images: npt.NDArray[np.uint8], batch_size: int = 64) -> Tensor:
        """uint8 [N, H, W, 3] of any size -> probability of each label, float [N, L]."""
        logits_NL: Tensor = self.head(self.features(images, batch_size))
        return logits_NL.softmax(dim=1)

    def save(self, folder: Path) -> None:
        """Weights as safetensors, labels and config as JSON."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        save_file(state, folder / WEIGHTS_NAME)
        about = {"labels": self.labels, "config": asdict(self.config)}
        (folder / CONFIG_NAME).write_text(json.dumps(about, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "IconClassifier":
        """A classifier written by `save`."""
        if not (folder / CONFIG_NAME).exists():
            raise AssetError(f"{folder} holds no classifier ({CONFIG_NAME} is missing)")
        about = json.loads((folder / CONFIG_NAME).read_text())
        widths = tuple(about["config"].pop("widths"))
        config = ClassifierConfig(widths=widths, **about["config"])
        classifier = cls(about["labels"], config)
        classifier.load_state_dict(load_file(folder / WEIGHTS_NAME))
        return classifier.eval()

    def _pixels(self, images: npt.NDArray[np.uint8]) -> Tensor:
        return pixels(shrunk(images, self.config.image_size))


class ClassifierLoss:
    """Cross-entropy on moved and tinted pictures, every label equally often; a LossFn."""

    def __init__(
        self,
        images: npt.NDArray[np.uint8],
        label_idx: npt.NDArray[np.int64],
        config: ClassifierConfig,
    ) -> None:
        self.images = images
        self.label_idx = torch.from_numpy(label_idx)
        counts = torch.bincount(self.label_idx).double()
        self.weights_N = 1.0 / counts[self.label_idx]
        self.config = config

    def __call__(
        self,
        module: nn.Module,
        step: int,  # noqa: ARG002  the loop's contract; every step is alike here
        generator: torch.Generator,
    ) -> Tensor:
        config = self.config
        rows = torch.multinomial(
            self.weights_N, config.batch_size, replacement=True, generator=generator
        )
        x_BCHW = augmented(pixels(self.images[rows.numpy()]), generator, config)
        logits_BL = module(x_BCHW.contiguous(memory_format=torch.channels_last)).float()
        return functional.cross_entropy(
            logits_BL, self.label_idx[rows], label_smoothing=config.label_smoothing
        )


def train_classifier(  # noqa: PLR0913  what to learn, how, where to keep it, who watches
    images: npt.NDArray[np.uint8],
    label_idx: Sequence[int],
    labels: Sequence[str],
    config: ClassifierConfig,
    loop: LoopConfig,
    folder: Path | None = None,
    observer: TrainingObserver | None = None,
) -> IconClassifier:
    """A classifier of `images` (uint8 [N, H, W, 3]), where image i shows labels[label_idx[i]].

    With a `folder` the training is checkpointed there and resumes.
    """
    if len(images) != len(label_idx):
        raise ConfigError(f"{len(images)} images but {len(label_idx)} labels")
    torch.manual_seed(loop.seed)
    classifier = IconClassifier(labels, config)
    loss = ClassifierLoss(
        shrunk(images, config.image_size), np.asarray(label_idx, dtype=np.int64), config
    )
    trainer = Trainer(classifier, loss, loop, observer=observer)
    trainer.run(folder)
    classifier.load_state_dict(trainer.average.state_dict())
    return classifier.eval()


def top_k_accuracy(
    probabilities_NL: Tensor, label_idx: Sequence[int], k: int
) -> npt.NDArray[np.bool_]:
    """Whether the true label is among the k most probable ones, per image."""
    best_NK = probabilities_NL.topk(min(k, probabilities_NL.shape[1]), dim=1).indices
    hits: npt.NDArray[np.bool_] = (best_NK == torch.tensor(label_idx)[:, None]).any(dim=1).numpy()
    return hits


def shrunk(images: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """The same pictures with sides of `size` pixels, averaged over areas."""
    if images.shape[1] == images.shape[2] == size:
        return np.asarray(images)
    shape = (len(images), size, size, 3)
    small = np.empty(shape, dtype=np.uint8)
    for i, image in enumerate(images):
        resized = Image.fromarray(np.asarray(image)).resize((size, size), Image.Resampling.BOX)
        small[i] = np.asarray(resized)
    return small


def pixels(images: npt.NDArray[np.uint8]) -> Tensor:
    """uint8 [B, H, W, 3] -> float [B, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def augmented(x_BCHW: Tensor, generator: torch.Generator, config: ClassifierConfig) -> Tensor:
    """Turned, moved, zoomed, mirrored; blurred, tinted, noisy. White flows in from outside."""
    count = len(x_BCHW)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator)

    grid_BHW2 = functional.affine_grid(
        _placements(uniform, config), list(x_BCHW.shape), align_corners=False
    )
    x_BCHW = functional.grid_sample(x_BCHW - 1.0, grid_BHW2, align_corners=False) + 1.0
    is_blurred_B111 = uniform(0, 1, 1, 1, 1) < config.blurred_share
    x_BCHW = torch.where(
        is_blurred_B111, functional.avg_pool2d(x_BCHW, 3, 1, 1, False, False), x_BCHW
    )
    tint_BC11 = uniform(1 - config.max_tint, 1 + config.max_tint, 3, 1, 1)
    x_BCHW = ((x_BCHW + 1.0) * tint_BC11).clamp(0.0, 2.0) - 1.0
    noise_BCHW = torch.randn(x_BCHW.shape, generator=generator)
    return x_BCHW + uniform(0, config.max_noise, 1, 1, 1) * noise_BCHW


def _placements(uniform: Callable[..., Tensor], config: ClassifierConfig) -> Tensor:
    """Affine maps [B, 2, 3] from places in the result to places in the source."""
    turn = uniform(-config.max_turn_degrees, config.max_turn_degrees) * math.pi / 180
    zoom = 1.0 / uniform(config.min_zoom, config.max_zoom)
    mirror = torch.where(uniform(0, 1) < config.mirrored_share, -1.0, 1.0)
    shift_B2 = uniform(-2 * config.max_shift, 2 * config.max_shift, 2)
    cos, sin = zoom * turn.cos(), zoom * turn.sin()
    first = torch.stack([mirror * cos, -mirror * sin, shift_B2[:, 0]], dim=1)
    second = torch.stack([sin, cos, shift_B2[:, 1]], dim=1)
    return torch.stack([first, second], dim=1)
