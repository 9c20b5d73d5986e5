// The conversation: streamed replies with their time to first token and tokens per second.

import { stream } from "./api.js";

const $ = (id) => document.getElementById(id);

export class Chat {
  constructor() {
    this.messages = [];
    this.abort = null;
    $("chat-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    $("chat-input").addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.send();
    });
    $("chat-stop").addEventListener("click", () => this.abort?.abort());
    $("chat-clear").addEventListener("click", () => this.clear());
  }

  setModels(models) {
    fillModels($("chat-model"), models);
    $("chat-send").disabled = models.length === 0;
    if (models.length === 0) $("chat-empty-text").textContent = "This server has no text model.";
  }

  clear() {
    this.abort?.abort();
    this.messages = [];
    $("chat-log").replaceChildren($("chat-empty"));
    $("chat-empty").hidden = false;
    $("chat-input").focus();
  }

  async send() {
    const text = $("chat-input").value.trim();
    if (!text || this.abort || $("chat-send").disabled) return;
    $("chat-input").value = "";
    $("chat-empty").hidden = true;
    this.messages.push({ role: "user", content: text });
    addMessage("user", text);
    const reply = addMessage("assistant", "");
    const conversation = this.messages;
    this.setBusy(new AbortController());
    const written = await this.write(reply);
    if (written && conversation === this.messages) {
      this.messages.push({ role: "assistant", content: written });
    }
    this.setBusy(null);
  }

  async write(reply) {
    const meter = new Meter();
    reply.facts.textContent = "waiting for the first token";
    try {
      for await (const { data } of stream("v1/chat/completions", this.body(), this.abort.signal)) {
        if (!data) continue;
        if (data.usage) meter.count = data.usage.completion_tokens;
        const choice = data.choices[0];
        if (!choice || choice.delta.role) continue;
        meter.token();
        append(reply, choice.delta.content ?? "");
        reply.facts.textContent = meter.text();
        if (choice.finish_reason === "length") meter.note = "cut at max tokens";
      }
      reply.facts.textContent = meter.text();
      reply.node.dataset.state = "done";
    } catch (error) {
      const isStopped = error.name === "AbortError";
      meter.note = isStopped ? "stopped" : "";
      reply.node.dataset.state = isStopped ? "stopped" : "failed";
      reply.facts.textContent = isStopped ? meter.text() : error.message;
    }
    return reply.body.textContent;
  }

  body() {
    return {
      model: $("chat-model").value,
      messages: this.messages,
      max_tokens: $("chat-max").valueAsNumber || undefined,
      temperature: Number.isNaN($("chat-temperature").valueAsNumber)
        ? undefined
        : $("chat-temperature").valueAsNumber,
      stream: true,
      stream_options: { include_usage: true },
    };
  }

  setBusy(abort) {
    this.abort = abort;
    $("chat-stop").disabled = !abort;
    $("chat-send").disabled = Boolean(abort);
  }
}

class Meter {
  constructor() {
    this.sent = performance.now();
    this.first = null;
    this.last = null;
    this.count = 0;
    this.note = "";
  }

  token() {
    this.last = performance.now();
    this.first ??= this.last;
    this.count += 1;
  }

  text() {
    if (this.first === null) return this.note || "no token";
    const parts = [`TTFT ${Math.round(this.first - this.sent)} ms`];
    const seconds = (this.last - this.first) / 1000;
    if (this.count > 1 && seconds > 0) parts.push(`${((this.count - 1) / seconds).toFixed(1)} tok/s`);
    parts.push(`${this.count} token${this.count === 1 ? "" : "s"}`);
    if (this.note) parts.push(this.note);
    return parts.join(" · ");
  }
}

export function fillModels(select, models) {
  select.replaceChildren(...models.map((model) => new Option(model.id, model.id)));
  select.disabled = models.length === 0;
}

function addMessage(role, text) {
  const node = document.createElement("article");
  node.className = `message ${role}`;
  node.dataset.testid = `message-${role}`;
  const who = document.createElement("h3");
  who.textContent = role === "user" ? "You" : "Model";
  const body = document.createElement("div");
  body.className = "body";
  body.textContent = text;
  const facts = document.createElement("p");
  facts.className = "facts";
  facts.dataset.testid = `facts-${role}`;
  node.append(who, body, facts);
  $("chat-log").append(node);
  $("chat-log").scrollTop = $("chat-log").scrollHeight;
  return { node, body, facts };
}

function append(reply, text) {
  const log = $("chat-log");
  const isAtEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  reply.body.append(text);
  if (isAtEnd) log.scrollTop = log.scrollHeight;
}
