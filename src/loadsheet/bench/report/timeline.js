// Requests over time: a strip of tokens per second, then one bar per request, packed into lanes.

const STRIP = 64, GAP = 16, LABEL = 18, AXIS = 22, MOST_BINS = 240, MARKS_PER_BIN = 6;

class Timeline {
  constructor(canvas, note) {
    this.canvas = canvas;
    this.note = note;
    canvas.addEventListener("wheel", (event) => this.zoom(event), { passive: false });
    canvas.addEventListener("dblclick", () => this.reset());
    canvas.addEventListener("pointerdown", (event) => { this.dragFrom = event.offsetX; canvas.setPointerCapture(event.pointerId); });
    canvas.addEventListener("pointerup", () => { this.dragFrom = null; });
    canvas.addEventListener("pointermove", (event) => this.move(event));
    window.addEventListener("resize", () => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  show(data) {
    this.data = data;
    const bars = data.classes.flatMap((item) => item.requests);
    this.full = [
      Math.min(0, ...bars.map((bar) => bar.due)),
      Math.max(data.window_s, ...bars.map((bar) => bar.end)),
    ];
    this.reset();
  }

  reset() {
    this.view = [...this.full];
    this.describe();
    this.draw();
  }

  describe() {
    const shown = this.data.classes.reduce((sum, item) => sum + item.requests.length, 0);
    const total = this.data.num_requests;
    this.note.textContent = shown < total
      ? `the first ${shown} of ${total} requests; all of them are in records.jsonl` : " ";
  }

  zoom(event) {
    event.preventDefault();
    const [from, to] = this.view;
    const at = this.secondAt(event.offsetX);
    const factor = Math.exp(event.deltaY * 0.0015);
    const span = Math.min(this.full[1] - this.full[0], Math.max(0.02, (to - from) * factor));
    const start = at - ((at - from) / (to - from)) * span;
    this.setView(start, span);
  }

  move(event) {
    if (this.dragFrom != null) {
      const [from, to] = this.view;
      const shift = ((this.dragFrom - event.offsetX) / this.canvas.clientWidth) * (to - from);
      this.dragFrom = event.offsetX;
      this.setView(from + shift, to - from);
      return;
    }
    const bar = this.barAt(event.offsetX, event.offsetY);
    if (!bar) return this.describe();
    const first = bar.marks.length ? `, first ${bar.kind === "text" ? "token" : "preview"} after ${showMs(1000 * (bar.marks[0] - bar.due))}` : "";
    const tokens = bar.kind === "text" ? `, ${bar.marks.length} chunks` : "";
    this.note.textContent = `${bar.traffic} ${bar.index}: due ${bar.due.toFixed(3)} s${first}${tokens}, took ${showMs(1000 * (bar.end - bar.due))}, ${bar.outcome}`;
  }

  setView(start, span) {
    const from = Math.min(Math.max(start, this.full[0]), this.full[1] - span);
    this.view = [from, from + span];
    this.draw();
  }

  secondAt(x) { return this.view[0] + (x / this.canvas.clientWidth) * (this.view[1] - this.view[0]); }
  xOf(second) { return ((second - this.view[0]) / (this.view[1] - this.view[0])) * this.canvas.clientWidth; }

  layout() {
    // few requests get tall bars, many get thin ones
    let top = STRIP + GAP;
    const rows = this.data.classes.map((item) => {
      const lanes = 1 + Math.max(0, ...item.requests.map((bar) => bar.lane));
      const height = Math.max(3, Math.min(20, Math.floor(260 / lanes)));
      const row = { item, lanes, height, top: top + LABEL };
      top = row.top + lanes * height + GAP;
      return row;
    });
    return { rows, height: top + AXIS - GAP + 4 };
  }

  barAt(x, y) {
    const second = this.secondAt(x);
    for (const row of this.layout().rows) {
      const lane = Math.floor((y - row.top) / row.height);
      const hit = row.item.requests.find((bar) => bar.lane === lane && bar.due <= second && second < bar.end);
      if (hit) return { ...hit, traffic: row.item.traffic, kind: row.item.kind };
    }
    return null;
  }

  draw() {
    const { rows, height } = this.layout();
    const ratio = window.devicePixelRatio || 1;
    const width = this.canvas.clientWidth;
    this.canvas.style.height = `${height}px`;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const color = paletteOf(this.canvas);
    this.drawAxis(pen, color, height);
    this.drawStrip(pen, color);
    for (const row of rows) this.drawRow(pen, color, row);
    pen.fillStyle = color.outside;
    const [start, end] = [this.xOf(0), this.xOf(this.data.window_s)];
    if (start > 0) pen.fillRect(0, 0, start, height - AXIS);
    if (end < width) pen.fillRect(end, 0, width - end, height - AXIS);
  }

  drawAxis(pen, color, height) {
    pen.font = "11px system-ui, sans-serif";
    pen.textAlign = "center";
    for (const second of niceTicks(this.view[0], this.view[1], 10)) {
      const x = this.xOf(second);
      pen.fillStyle = color.line;
      pen.fillRect(x, 0, 1, height - AXIS);
      pen.fillStyle = color.muted;
      pen.fillText(`${+second.toFixed(3)} s`, x, height - 7);
    }
  }

  drawStrip(pen, color) {
    const width = this.canvas.clientWidth;
    const tokens = this.data.classes.filter((item) => item.kind === "text")
      .flatMap((item) => item.requests).flatMap((bar) => bar.marks)
      .filter((at) => at >= this.view[0] && at < this.view[1]);
    // wide enough that a bar is a rate and not the beat of single tokens
    const bins = Math.max(1, Math.min(MOST_BINS, Math.round(tokens.length / MARKS_PER_BIN)));
    const span = (this.view[1] - this.view[0]) / bins;
    const counts = new Array(bins).fill(0);
    for (const at of tokens) counts[Math.floor((at - this.view[0]) / span)] += 1;
    const peak = Math.max(...counts);
    pen.textAlign = "left";
    pen.fillStyle = color.muted;
    pen.fillText(peak ? `tokens/s, up to ${+(peak / span).toPrecision(3)}; orange: images finished` : "orange: images finished", 4, 12);
    pen.fillStyle = color.text;
    counts.forEach((count, bin) => {
      const tall = peak ? (count / peak) * (STRIP - 18) : 0;
      pen.fillRect((bin / bins) * width, STRIP - tall, width / bins - 0.5, tall);
    });
    pen.fillStyle = color.image;
    for (const item of this.data.classes) {
      if (item.kind !== "image") continue;
      for (const bar of item.requests) if (bar.outcome === "ok") pen.fillRect(this.xOf(bar.end) - 1, STRIP - 46, 2, 46);
    }
    pen.fillStyle = color.line;
    pen.fillRect(0, STRIP, width, 1);
  }

  drawRow(pen, color, row) {
    pen.textAlign = "left";
    pen.fillStyle = color.muted;
    pen.fillText(`${row.item.traffic} (${row.item.requests.length} requests, up to ${row.lanes} at a time)`, 4, row.top - 5);
    const tall = Math.max(2, row.height - (row.height > 5 ? 2 : 1));
    for (const bar of row.item.requests) {
      if (bar.end < this.view[0] || bar.due > this.view[1]) continue;
      const y = row.top + bar.lane * row.height;
      this.drawBar(pen, color, row.item.kind, bar, y, tall);
    }
  }

  drawBar(pen, color, kind, bar, y, tall) {
    const box = (from, to, fill) => {
      pen.fillStyle = fill;
      pen.fillRect(this.xOf(from), y, Math.max(1, this.xOf(to) - this.xOf(from) - 0.5), tall);
    };
    const isBad = bar.outcome !== "ok" && bar.outcome !== "cut";
    if (isBad) return box(bar.due, bar.end, color.bad);
    if (kind === "image") box(bar.due, bar.end, color.image);
    else {
      const first = bar.marks.length ? bar.marks[0] : bar.end;
      box(bar.due, first, color.wait);
      if (bar.marks.length) box(first, bar.marks.at(-1), color.text);
    }
    const room = bar.marks.length > 1 ? (this.xOf(bar.marks.at(-1)) - this.xOf(bar.marks[0])) / bar.marks.length : 9;
    if (room < 2.5) return;
    pen.fillStyle = color.card;
    for (const at of bar.marks) pen.fillRect(this.xOf(at), y, 1, tall);
  }
}

function paletteOf(element) {
  // canvas knows no CSS variables: let the browser resolve them once per drawing
  const probe = document.createElement("span");
  element.after(probe);
  const read = (name) => { probe.style.color = `var(--${name})`; return getComputedStyle(probe).color; };
  const colors = { text: read("text"), wait: read("text-wait"), image: read("image"), bad: read("bad"), line: read("line"), muted: read("muted"), card: read("card"), outside: read("outside") };
  probe.remove();
  return colors;
}
