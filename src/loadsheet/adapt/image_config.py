"""The recipe of the image model; the defaults are the ones that a fresh training should use."""

from dataclasses import dataclass, field, replace

from loadsheet.adapt.autoencoder import AutoencoderConfig
from loadsheet.adapt.contact_sheet import PROMPTS
from loadsheet.adapt.denoiser import DenoiserConfig
from loadsheet.adapt.gallery import GalleryConfig
from loadsheet.adapt.loop import LoopConfig
from loadsheet.adapt.model_folder import SamplingConfig
from loadsheet.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainImageConfig:
    """Pictures, both networks, their three trainings, and the sheet drawn at the end.

    `num_concepts` None learns all; a number keeps only those that are shown most.
    """

    name: str = "emoji"
    num_concepts: int | None = None
    gallery: GalleryConfig = GalleryConfig()
    autoencoder: AutoencoderConfig = AutoencoderConfig()
    autoencoder_loop: LoopConfig = field(
        default=LoopConfig(num_steps=4400, learning_rate=1.5e-3, ema_decay=0.998)
    )
    decoder_loop: LoopConfig = field(
        default=LoopConfig(num_steps=800, learning_rate=6e-4, ema_decay=0.995)
    )
    denoiser: DenoiserConfig = DenoiserConfig()
    denoiser_loop: LoopConfig = field(
        default=LoopConfig(num_steps=11000, learning_rate=8e-4, warmup_steps=200, ema_decay=0.998)
    )
    sampling: SamplingConfig = SamplingConfig()
    sheet_prompts: tuple[str, ...] = PROMPTS
    sheet_seeds: int = 2

    def __post_init__(self) -> None:
        self._expect("autoencoder.image_size", self.autoencoder.image_size, self.gallery.size)
        side = self.gallery.size // self.autoencoder.latent_cell
        self._expect("denoiser.sample_size", self.denoiser.sample_size, side)
        channels = self.autoencoder.latent_channels
        self._expect("denoiser.latent_channels", self.denoiser.latent_channels, channels)

    def _expect(self, name: str, found: int, due: int) -> None:
        if found != due:
            raise ConfigError(f"{name} is {found}; pictures and autoencoder make it {due}")

    def seeded(self, seed: int) -> "TrainImageConfig":
        """The same recipe with this seed in all three trainings."""
        return replace(
            self,
            autoencoder_loop=replace(self.autoencoder_loop, seed=seed),
            decoder_loop=replace(self.decoder_loop, seed=seed),
            denoiser_loop=replace(self.denoiser_loop, seed=seed),
        )
