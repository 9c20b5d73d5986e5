"""Opens a pipeline folder in the layout that diffusers publishes.

folder/model_index.json            names the pipeline class, hence the layout
folder/{text_encoder,unet,vae}/    config.json and safetensors weights
folder/tokenizer/                  vocabulary
folder/scheduler/                  training noise and preferred sampler
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from loadsheet.engine.image.component import read_json
from loadsheet.engine.image.loadsheet_text_to_image import load_loadsheet
from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.engine.image.stable_diffusion import load_stable_diffusion
from loadsheet.engine.image.stable_diffusion_xl import load_stable_diffusion_xl
from loadsheet.engine.torch_device import Placement
from loadsheet.errors import SpecError

Layout = Callable[[Path, Mapping[str, object], Placement], ImagePipeline]

LAYOUTS: dict[str, Layout] = {
    "StableDiffusionPipeline": load_stable_diffusion,
    "StableDiffusionXLPipeline": load_stable_diffusion_xl,
    "LoadsheetTextToImagePipeline": load_loadsheet,
}


def open_pipeline(folder: Path, placement: Placement) -> ImagePipeline:
    """Loads every network of the folder to `placement`. Nothing is fetched, nothing unpickled."""
    model_index = read_json(folder / "model_index.json")
    name = str(model_index.get("_class_name"))
    if name not in LAYOUTS:
        raise SpecError(f"{folder} is a {name}; supported are {', '.join(LAYOUTS)}")
    return LAYOUTS[name](folder, model_index, placement)
