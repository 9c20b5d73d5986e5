"""Chat and draw at the same moment, from one server: `loadsheet up`, then `python run.py`.

Two threads, one client: the story streams while the picture is drawn. The printed times show that
neither waited for the other to end.
"""

import sys
import threading
import time
from base64 import b64decode
from pathlib import Path

from openai import OpenAI

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
client = OpenAI(base_url=f"{URL}/v1", api_key="none")
start_s = time.perf_counter()


def tell() -> None:
    messages = [{"role": "user", "content": "Tell me a short story about a lighthouse."}]
    stream = client.chat.completions.create(
        model="smollm2-135m-instruct",
        messages=messages,
        temperature=0,
        max_tokens=80,
        stream=True,
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    print(f"text  after {time.perf_counter() - start_s:.1f} s: {text}")


def draw() -> None:
    reply = client.images.generate(model="emoji", prompt="a lighthouse", extra_body={"seed": 7})
    Path("lighthouse.png").write_bytes(b64decode(reply.data[0].b64_json))
    print(f"image after {time.perf_counter() - start_s:.1f} s: lighthouse.png")


threads = [threading.Thread(target=work) for work in (tell, draw)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
