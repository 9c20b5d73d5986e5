// The gallery: several images under way at once, each one a stream of its own that can be dropped.

import { stream } from "./api.js";
import { fillModels } from "./chat.js";

const $ = (id) => document.getElementById(id);

// Browsers open six connections to a host: chat and the device strip need the others.
const MAX_STREAMS = 3;

export class Gallery {
  constructor() {
    this.models = [];
    this.waiting = [];
    this.active = 0;
    $("draw-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    $("draw-prompt").addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.submit();
    });
    $("draw-model").addEventListener("change", () => this.showDefaults());
    $("draw-clear").addEventListener("click", () => this.clearFinished());
  }

  setModels(models) {
    this.models = models;
    fillModels($("draw-model"), models);
    $("draw-send").disabled = models.length === 0;
    if (models.length === 0) $("draw-empty-text").textContent = "This server has no image model.";
    else this.showDefaults();
  }

  showDefaults() {
    const model = this.models.find(({ id }) => id === $("draw-model").value);
    $("draw-size").replaceChildren(...model.sizes.map((size) => new Option(size.replace("x", " × "), size)));
    $("draw-steps").max = model.max_num_inference_steps;
    $("draw-steps").value = model.default_num_inference_steps;
    $("draw-guidance").value = model.default_guidance_scale;
  }

  submit() {
    const prompt = $("draw-prompt").value.trim();
    if (!prompt || $("draw-send").disabled) return;
    const asked = $("draw-seed").valueAsNumber;
    const first = Number.isNaN(asked) ? Math.floor(Math.random() * 1e6) : asked;
    const count = Math.min(16, Math.max(1, $("draw-count").valueAsNumber || 1));
    const tiles = Array.from({ length: count }, (_, index) => {
      const body = {
        model: $("draw-model").value,
        prompt,
        size: $("draw-size").value,
        num_inference_steps: $("draw-steps").valueAsNumber || undefined,
        guidance_scale: Number.isNaN($("draw-guidance").valueAsNumber)
          ? undefined
          : $("draw-guidance").valueAsNumber,
        seed: first + index,
        stream: true,
      };
      return new Tile(body, () => this.startNext());
    });
    $("gallery").prepend(...tiles.map(({ node }) => node));
    this.waiting.push(...tiles);
    this.startNext();
  }

  startNext() {
    $("draw-empty").hidden = $("gallery").children.length > 0;
    while (this.active < MAX_STREAMS && this.waiting.length > 0) {
      const tile = this.waiting.shift();
      if (tile.isOver) continue;
      this.active += 1;
      tile.draw().finally(() => {
        this.active -= 1;
        this.startNext();
      });
    }
  }

  clearFinished() {
    for (const node of [...$("gallery").children]) {
      if (["done", "failed", "stopped"].includes(node.dataset.state)) node.remove();
    }
    $("draw-empty").hidden = $("gallery").children.length > 0;
  }
}

class Tile {
  constructor(body, onChange) {
    this.body = body;
    this.onChange = onChange;
    this.abort = new AbortController();
    this.isOver = false;
    this.build();
    this.show("queued", "queued");
  }

  build() {
    const [width, height] = this.body.size.split("x").map(Number);
    this.node = document.createElement("li");
    this.node.className = "tile";
    this.node.dataset.testid = "tile";
    this.frame = document.createElement("div");
    this.frame.className = "frame";
    this.frame.style.aspectRatio = `${width} / ${height}`;
    this.progress = document.createElement("progress");
    this.progress.max = this.body.num_inference_steps ?? 1;
    this.progress.value = 0;
    this.progress.setAttribute("aria-label", "Denoise steps");
    this.state = document.createElement("span");
    this.state.className = "state";
    this.cancel = document.createElement("button");
    this.cancel.type = "button";
    this.cancel.className = "drop";
    this.cancel.textContent = "×";
    this.cancel.setAttribute("aria-label", `Cancel the image with seed ${this.body.seed}`);
    this.cancel.addEventListener("click", () => this.drop());
    this.frame.append(this.state, this.progress, this.cancel);
    this.caption = document.createElement("p");
    this.caption.className = "facts";
    this.caption.textContent = `seed ${this.body.seed}`;
    const subject = document.createElement("p");
    subject.className = "subject";
    subject.textContent = this.body.prompt;
    this.node.title = this.body.prompt;
    this.node.append(this.frame, subject, this.caption);
  }

  show(state, text) {
    this.node.dataset.state = state;
    this.state.textContent = text;
  }

  drop() {
    this.abort.abort();
    this.end("stopped", "cancelled");
    this.onChange();
  }

  end(state, text) {
    this.isOver = true;
    this.show(state, text);
    this.progress.remove();
    this.cancel.remove();
  }

  async draw() {
    const sent = performance.now();
    this.show("waiting", "waiting");
    try {
      for await (const { data, comment } of stream("v1/images/generations", this.body, this.abort.signal)) {
        if (comment) this.step(comment);
        if (data?.type === "image_generation.completed") this.finish(data, performance.now() - sent);
      }
      if (!this.isOver) this.end("failed", "no image came back");
    } catch (error) {
      if (error.name !== "AbortError") this.end("failed", error.message);
    }
  }

  step(comment) {
    const match = /step (\d+)\/(\d+)/.exec(comment);
    if (!match) return;
    this.progress.max = Number(match[2]);
    this.progress.value = Number(match[1]);
    this.show("drawing", match[1] === match[2] ? "decoding" : `step ${match[1]} of ${match[2]}`);
  }

  finish(data, milliseconds) {
    const image = new Image();
    image.alt = this.body.prompt;
    image.src = `data:image/png;base64,${data.b64_json}`;
    const link = document.createElement("a");
    link.href = image.src;
    link.download = `loadsheet-${data.seed}.png`;
    link.setAttribute("aria-label", `Save the image with seed ${data.seed}`);
    link.append(image);
    this.frame.append(link);
    this.caption.textContent = `seed ${data.seed} · ${(milliseconds / 1000).toFixed(1)} s`;
    this.end("done", "");
  }
}
