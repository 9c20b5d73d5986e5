"""The U-Net as a function of latents, timesteps and conditioning, one row per image branch."""

from diffusers import UNet2DConditionModel
from torch import Tensor

from loadsheet.engine.image.conditioning import Conditioning
from loadsheet.engine.image.lora import Adapters


class UNetDenoiser:
    """Computes in the network's dtype and answers in float32, where sampler math happens."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        self.unet = unet
        self.adapters = Adapters(unet)
        self._dtype = next(unet.parameters()).dtype

    def __call__(
        self,
        x_BCHW: Tensor,
        timesteps_B: Tensor,
        conditioning: Conditioning,
        adapter: str | None = None,
    ) -> Tensor:
        """The prediction of the network wearing `adapter`, which must be loaded."""
        with self.adapters.wearing(adapter):
            prediction_BCHW: Tensor = self.unet(
                x_BCHW.to(self._dtype), timesteps_B, **conditioning.arguments(), return_dict=False
            )[0]
        return prediction_BCHW.float()
