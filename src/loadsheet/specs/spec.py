"""The union of all model descriptions, and what kind of work each does."""

from loadsheet.specs.cascade import CascadeSpec
from loadsheet.specs.decoder import DecoderSpec
from loadsheet.specs.dit import DiTSpec, HunyuanDiTSpec, Lumina2Spec, PixArtSpec, SanaSpec, WanSpec
from loadsheet.specs.encoder import BertSpec, ClipTextSpec, T5Spec
from loadsheet.specs.mmdit import Flux2Spec, FluxSpec, QwenImageSpec, Sd3Spec
from loadsheet.specs.unet import PixelUNetSpec, UNetSpec
from loadsheet.specs.vae import DcVaeSpec, KlVaeSpec, PaellaVaeSpec, WanVaeSpec

EncoderSpec = BertSpec | ClipTextSpec | T5Spec
DenoiserSpec = (
    UNetSpec
    | PixelUNetSpec
    | CascadeSpec
    | DiTSpec
    | PixArtSpec
    | HunyuanDiTSpec
    | SanaSpec
    | Lumina2Spec
    | WanSpec
    | Sd3Spec
    | FluxSpec
    | Flux2Spec
    | QwenImageSpec
)
VaeSpec = KlVaeSpec | DcVaeSpec | WanVaeSpec | PaellaVaeSpec
ModelSpec = DecoderSpec | EncoderSpec | DenoiserSpec | VaeSpec
