// The strip below: who used the device in the last minute, who runs and waits, what memory is held.

import { getJson } from "./api.js";

const $ = (id) => document.getElementById(id);
const KINDS = [
  ["text", "text"],
  ["encode", "encode"],
  ["denoise", "denoise"],
  ["vae_decode", "VAE"],
];
const POLL_MS = 500;
const WINDOW_S = 2; // a share is an average over this; single steps take up to a second
const HISTORY = 120;

export class Device {
  constructor() {
    this.samples = [];
    this.history = [];
    this.legend = buildLegend();
    new ResizeObserver(() => this.paint()).observe($("timeline"));
  }

  async run() {
    for (;;) {
      if (document.visibilityState === "visible") await this.poll();
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async poll() {
    try {
      const status = await getJson("v1/loadsheet/status");
      showHealth(status.is_alive ? (status.is_draining ? "draining" : "ready") : "dead");
      this.show(status);
    } catch (error) {
      showHealth(error.status === 401 ? "key" : "offline");
    }
  }

  show(status) {
    this.samples.push({ now_s: status.now_s, busy_s: status.busy_s });
    while (this.samples.length > 2 && status.now_s - this.samples[1].now_s >= WINDOW_S) {
      this.samples.shift();
    }
    const shares = sharesBetween(this.samples[0], this.samples.at(-1));
    this.history = [...this.history, shares].slice(-HISTORY);
    const total = KINDS.reduce((sum, [kind]) => sum + shares[kind], 0);
    $("busy-total").textContent = percent(total);
    for (const [kind] of KINDS) this.legend[kind].value.textContent = percent(shares[kind]);
    showModels(status.models);
    this.paint();
  }

  paint() {
    const canvas = $("timeline");
    const scale = window.devicePixelRatio || 1;
    const width = (canvas.width = Math.round(canvas.clientWidth * scale));
    const height = (canvas.height = Math.round(canvas.clientHeight * scale));
    const context = canvas.getContext("2d");
    context.fillStyle = getComputedStyle(canvas).color;
    for (const share of [0.25, 0.5, 0.75]) context.fillRect(0, Math.round(height * share), width, 1);
    const step = width / HISTORY;
    const colours = KINDS.map(([kind]) => [kind, getComputedStyle(this.legend[kind].dot).backgroundColor]);
    this.history.forEach((shares, index) => {
      const x = width - (this.history.length - index) * step;
      let top = height;
      for (const [kind, colour] of colours) {
        const size = shares[kind] * height;
        context.fillStyle = colour;
        context.fillRect(Math.floor(x), top - size, Math.ceil(step), size);
        top -= size;
      }
    });
  }
}

// Busy seconds are booked when a step ends, so a window can hold more than itself: scale it down.
function sharesBetween(first, last) {
  const span_s = last.now_s - first.now_s;
  const shares = {};
  let total = 0;
  for (const [kind] of KINDS) {
    shares[kind] = span_s > 0 ? (last.busy_s[kind] - first.busy_s[kind]) / span_s : 0;
    total += shares[kind];
  }
  if (total > 1) for (const [kind] of KINDS) shares[kind] /= total;
  return shares;
}

function buildLegend() {
  const entries = {};
  for (const [kind, name] of KINDS) {
    const item = document.createElement("li");
    const dot = document.createElement("span");
    dot.className = `dot ${kind}`;
    const value = document.createElement("b");
    value.dataset.testid = `share-${kind}`;
    value.textContent = "–";
    entries[kind] = { dot, value };
    item.append(dot, `${name} `, value);
    $("legend").append(item);
  }
  return entries;
}

function showModels(models) {
  const isSame = $("models").children.length === models.length;
  if (!isSame) $("models").replaceChildren(...models.map(buildModel));
  models.forEach((model, index) => updateModel($("models").children[index], model));
}

function buildModel(model) {
  const node = document.createElement("div");
  node.className = "model";
  node.innerHTML = `
    <h3><span class="dot"></span><span class="name"></span></h3>
    <p class="counts"><b class="running"></b> running <b class="waiting"></b> waiting</p>
    <p class="meter"><span class="what"></span><span class="amount"></span></p>
    <div class="track" role="meter" aria-valuemin="0" aria-valuemax="100"><div class="fill"></div></div>`;
  for (const part of [".dot", ".fill"]) {
    node.querySelector(part).classList.add(model.kind === "text" ? "text" : "denoise");
  }
  node.querySelector(".name").textContent = model.name;
  const what = model.kind === "text" ? "KV cache" : "Latents";
  node.querySelector(".what").textContent = what;
  node.querySelector(".track").setAttribute("aria-label", `${what} in use, percent`);
  return node;
}

function updateModel(node, model) {
  const memory = model.kind === "text" ? model.kv_blocks : model.latent_bytes;
  const format = model.kind === "text" ? (count) => `${count}` : bytes;
  node.querySelector(".running").textContent = model.running;
  node.querySelector(".waiting").textContent = model.waiting;
  const unit = model.kind === "text" ? " blocks" : "";
  node.querySelector(".amount").textContent = `${format(memory.used)} / ${format(memory.total)}${unit}`;
  const share = memory.total > 0 ? memory.used / memory.total : 0;
  node.querySelector(".fill").style.width = `${share * 100}%`;
  node.querySelector(".track").setAttribute("aria-valuenow", Math.round(share * 100));
}

const HEALTH = {
  ready: "ready",
  draining: "draining",
  dead: "device stopped",
  offline: "offline",
  key: "API key needed",
};

function showHealth(state) {
  if ($("health").dataset.state === state) return;
  $("health").dataset.state = state;
  $("health").textContent = HEALTH[state];
}

function percent(share) {
  return `${Math.round(share * 100)}\u00a0%`;
}

function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let index = 0;
  let value = count;
  while (value >= 1024 && index < units.length - 1) {
    value /= 1024;
    index += 1;
  }
  return `${index === 0 ? value : value.toFixed(1)} ${units[index]}`;
}
