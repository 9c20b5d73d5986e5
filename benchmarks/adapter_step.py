"""What wearing an adapter costs a denoise step: CPU time of a step with none and with each kind.

    python benchmarks/adapter_step.py [MODEL_FOLDER] [--rows 2 16] [--repeats 9]

Adapters are random: their numbers do not change the time. CPU seconds of the process on one
thread, the least of the repeats, so that neighbours on the machine hardly count.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict

from loadsheet.adapt.adaptation_method import parse_method
from loadsheet.engine.assets import ensure_assets
from loadsheet.engine.image.conditioning import Conditioning, Prompts
from loadsheet.engine.image.pipeline import ImagePipeline
from loadsheet.engine.image.pipeline_folder import open_pipeline
from loadsheet.engine.torch_device import resolve_placement

METHODS = (
    "lora-r4-attention",
    "lora-r16-attention",
    "lora-r4-attention-conv",
    "lora-r16-attention-conv",
)


def write_random_adapter(model: Path, method_name: str, folder: Path) -> Path:
    method = parse_method(method_name)
    unet = UNet2DConditionModel.from_pretrained(model / "unet", torch_dtype=torch.float32)
    unet.add_adapter(LoraConfig(r=method.rank, target_modules=list(method.target_modules)))
    layers = {
        key: 0.01 * torch.randn(tensor.shape)
        for key, tensor in get_peft_model_state_dict(unet).items()
    }
    StableDiffusionLoraLoaderMixin.save_lora_weights(folder, unet_lora_layers=layers)
    return folder


def step_s(pipeline: ImagePipeline, num_rows: int, adapter: str | None, repeats: int) -> float:
    width, height = pipeline.sizes[0]
    row = pipeline.encode(Prompts(texts=("a red apple",), width=width, height=height)).tensors
    states = Conditioning(
        tensors={k: v.expand(num_rows, *v.shape[1:]).contiguous() for k, v in row.items()}
    )
    x_BCHW = torch.randn(num_rows, *pipeline.latent_shape(width, height))
    timesteps = torch.full((num_rows,), 500.0)
    times = []
    for _ in range(repeats + 1):
        started_s = time.process_time()
        pipeline.denoise(x_BCHW, timesteps, states, adapter)
        times.append(time.process_time() - started_s)
    return min(times[1:])


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path, help="default: the default image model")
    parser.add_argument("--rows", type=int, nargs="+", default=[2, 16])
    parser.add_argument("--repeats", type=int, default=9)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = arguments.model or ensure_assets(["emoji"])["emoji"]
    pipeline = open_pipeline(model, resolve_placement("cpu"))
    with tempfile.TemporaryDirectory() as scratch:
        for name in METHODS:
            with torch.inference_mode(False):
                folder = write_random_adapter(model, name, Path(scratch) / name)
            pipeline.denoise.adapters.load(name, folder)
    sizes = pipeline.denoise.adapters.num_bytes
    for num_rows in arguments.rows:
        bare_s = step_s(pipeline, num_rows, None, arguments.repeats)
        print(f"{num_rows} rows, no adapter: {1e3 * bare_s:.1f} ms")
        for name in METHODS:
            worn_s = step_s(pipeline, num_rows, name, arguments.repeats)
            rise = worn_s / bare_s - 1
            print(f"  {name}: {1e3 * worn_s:.1f} ms ({rise:+.0%}), {sizes[name]:,} bytes")


if __name__ == "__main__":
    main()
