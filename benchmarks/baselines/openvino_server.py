"""OpenVINO GenAI behind an OpenAI-style API: text, images, or both in one process.

The text side is its continuous batching pipeline, stepped by a thread of its own; images are drawn
one at a time by another thread. Nothing else: no scheduling between the two, as in OpenVINO Model
Server. Started twice, once per model, it is the two-process baseline.

    python openvino_server.py --text LLM_OV --image T2I_OV --port 8103 --threads 2
"""

import argparse
import asyncio
import base64
import io
import itertools
import json
import queue
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openvino_genai as genai
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from PIL import Image
from pydantic import BaseModel

CACHE_GB = 1


class Chat(BaseModel):
    messages: list[dict[str, str]]
    max_tokens: int = 64
    ignore_eos: bool = False


class Generation(BaseModel):
    prompt: str
    n: int = 1
    size: str = "512x512"
    num_inference_steps: int = 20
    guidance_scale: float = 7.5
    seed: int = 0


class TextLoop:
    """Owns the pipeline: one thread adds requests, steps, and hands out tokens."""

    def __init__(self, folder: str, properties: dict[str, object]) -> None:
        scheduler = genai.SchedulerConfig()
        scheduler.cache_size = CACHE_GB
        scheduler.enable_prefix_caching = False
        self._pipeline = genai.ContinuousBatchingPipeline(folder, scheduler, "CPU", properties)
        self.tokenizer = self._pipeline.get_tokenizer()
        self._arrivals: queue.Queue = queue.Queue()
        self._ids = itertools.count()
        threading.Thread(target=self._run, daemon=True).start()

    def submit(self, prompt: str, config: genai.GenerationConfig) -> asyncio.Queue:
        tokens: asyncio.Queue = asyncio.Queue()
        self._arrivals.put((prompt, config, tokens, asyncio.get_running_loop()))
        return tokens

    def _run(self) -> None:
        running = {}
        while True:
            while not self._arrivals.empty() or not running:
                prompt, config, tokens, loop = self._arrivals.get()
                handle = self._pipeline.add_request(next(self._ids), prompt, config)
                running[handle] = (tokens, loop)
            self._pipeline.step()
            for handle, (tokens, loop) in list(running.items()):
                while handle.can_read():
                    for output in handle.read().values():
                        loop.call_soon_threadsafe(tokens.put_nowait, list(output.generated_ids))
                if handle.get_status() != genai.GenerationStatus.RUNNING:
                    loop.call_soon_threadsafe(tokens.put_nowait, None)
                    del running[handle]


def make_app(text: TextLoop | None, image: genai.Text2ImagePipeline | None) -> FastAPI:
    app = FastAPI()
    worker = ThreadPoolExecutor(max_workers=1)

    @app.get("/health")
    def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/v1/models")
    def models() -> dict[str, object]:
        held = [*(["text"] if text else []), *(["image"] if image else [])]
        return {
            "object": "list",
            "data": [{"id": f"openvino-{kind}", "kind": kind} for kind in held],
        }

    @app.post("/v1/chat/completions")
    async def chat(asked: Chat) -> StreamingResponse:
        return StreamingResponse(stream(text, asked), media_type="text/event-stream")

    @app.post("/v1/images/generations")
    async def generate(asked: Generation) -> dict[str, object]:
        images = await asyncio.get_running_loop().run_in_executor(worker, draw, image, asked)
        return {"created": int(time.time()), "data": [{"b64_json": item} for item in images]}

    return app


async def stream(text: TextLoop, asked: Chat) -> AsyncIterator[str]:
    prompt = text.tokenizer.apply_chat_template(asked.messages, add_generation_prompt=True)
    config = genai.GenerationConfig()
    config.max_new_tokens = asked.max_tokens
    config.do_sample = False
    config.ignore_eos = asked.ignore_eos
    if asked.ignore_eos:
        config.min_new_tokens = asked.max_tokens
    num_prompt = text.tokenizer.encode(prompt).input_ids.shape[1]
    arrived: list[int] = []
    shown = ""
    tokens = text.submit(prompt, config)
    while (new := await tokens.get()) is not None:
        arrived += new
        whole = text.tokenizer.decode(arrived)
        delta, shown = whole[len(shown) :], whole
        yield event({"choices": [{"index": 0, "delta": {"content": delta}, "finish_reason": None}]})
    usage = {"prompt_tokens": num_prompt, "completion_tokens": len(arrived)}
    yield event({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]})
    yield event({"choices": [], "usage": usage})
    yield "data: [DONE]\n\n"


def event(document: dict[str, object]) -> str:
    return f"data: {json.dumps({'object': 'chat.completion.chunk', **document})}\n\n"


def draw(pipeline: genai.Text2ImagePipeline, asked: Generation) -> list[str]:
    width, height = (int(side) for side in asked.size.split("x"))
    pixels = pipeline.generate(
        asked.prompt,
        width=width,
        height=height,
        num_inference_steps=asked.num_inference_steps,
        guidance_scale=asked.guidance_scale,
        num_images_per_prompt=asked.n,
        rng_seed=asked.seed,
    )
    return [png(picture) for picture in np.array(pixels.data)]


def png(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--text")
    parser.add_argument("--image")
    parser.add_argument("--port", type=int, default=8103)
    parser.add_argument("--threads", type=int, required=True, help="of each pipeline")
    parser.add_argument("--precision", default="bf16", choices=("bf16", "f32"))
    asked = parser.parse_args()
    properties = {
        "INFERENCE_NUM_THREADS": asked.threads,
        "INFERENCE_PRECISION_HINT": asked.precision,
        "PERFORMANCE_HINT": "LATENCY",
    }
    text = TextLoop(asked.text, properties) if asked.text else None
    image = None
    if asked.image:
        image = genai.Text2ImagePipeline(asked.image)
        image.compile("CPU", **properties)
    uvicorn.run(make_app(text, image), port=asked.port, log_level="warning")


if __name__ == "__main__":
    main()
