"""A diffusers pipeline behind POST /v1/images/generations, the way people serve one.

One pipeline, one image at a time, first come first served: a diffusers pipeline keeps state in its
scheduler and must not be shared between threads.

    python diffusers_server.py MODEL --port 8102
"""

import argparse
import asyncio
import base64
import io
import time
from concurrent.futures import ThreadPoolExecutor

import torch
import uvicorn
from diffusers import DiffusionPipeline
from fastapi import FastAPI
from pydantic import BaseModel


class Generation(BaseModel):
    prompt: str
    n: int = 1
    size: str = "512x512"
    num_inference_steps: int = 20
    guidance_scale: float = 7.5
    seed: int | None = None


def make_app(pipeline: DiffusionPipeline, name: str) -> FastAPI:
    app = FastAPI()
    worker = ThreadPoolExecutor(max_workers=1)

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/models")
    def models() -> dict[str, object]:
        return {"object": "list", "data": [{"id": name, "object": "model", "kind": "image"}]}

    @app.post("/v1/images/generations")
    async def generate(asked: Generation) -> dict[str, object]:
        images = await asyncio.get_running_loop().run_in_executor(worker, draw, pipeline, asked)
        return {"created": int(time.time()), "data": [{"b64_json": image} for image in images]}

    return app


def draw(pipeline: DiffusionPipeline, asked: Generation) -> list[str]:
    width, height = (int(side) for side in asked.size.split("x"))
    generator = None if asked.seed is None else torch.Generator().manual_seed(asked.seed)
    drawn = pipeline(
        asked.prompt,
        width=width,
        height=height,
        num_inference_steps=asked.num_inference_steps,
        guidance_scale=asked.guidance_scale,
        num_images_per_prompt=asked.n,
        generator=generator,
    )
    return [png(image) for image in drawn.images]


def png(image: object) -> str:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--port", type=int, default=8102)
    parser.add_argument("--dtype", default="bfloat16")
    asked = parser.parse_args()
    pipeline = DiffusionPipeline.from_pretrained(
        asked.model, torch_dtype=getattr(torch, asked.dtype), local_files_only=True
    )
    pipeline.set_progress_bar_config(disable=True)
    uvicorn.run(make_app(pipeline, asked.model), port=asked.port, log_level="warning")


if __name__ == "__main__":
    main()
