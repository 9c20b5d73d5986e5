// Steps of one replica over time, one row per lane, text above images where they share a lane.

const ROW = 30, LEFT = 96, WIDE = 1200, AXIS = 22, ZOOMS = [1, 4, 16];
const SVG = "http://www.w3.org/2000/svg";

const rowOf = (span) => `${span[3]}:${span[4]}`;
function look(span) {
  if (span[2] === "text") return span[7] ? "prefill" : "decode";
  return { encode: "encode", denoise: "denoise", vae_decode: "vae" }[span[2]] ?? "encode";
}

class Gantt {
  constructor(gantts, chart, at, note) {
    Object.assign(this, { gantts, chart, at, note, which: 0, zoom: ZOOMS[1] });
    at.addEventListener("input", () => this.draw());
    this.choices("gantt-groups", gantts.map((one) => one.name), 0, (n) => { this.which = n; });
    this.choices("gantt-zoom", ZOOMS.map((zoom) => `${zoom}x`), 1, (n) => { this.zoom = ZOOMS[n]; });
    this.draw();
  }

  choices(id, names, chosen, act) {
    const place = document.getElementById(id);
    if (names.length < 2) return;
    names.forEach((name, n) => {
      const button = Object.assign(document.createElement("button"), { type: "button", textContent: name });
      button.setAttribute("aria-pressed", n === chosen);
      button.addEventListener("click", () => {
        for (const other of place.children) other.setAttribute("aria-pressed", other === button);
        act(n);
        this.draw();
      });
      place.append(button);
    });
  }

  draw() {
    const data = this.gantts[this.which], all = data.seconds * 1e3, wide = all / this.zoom;
    const from = (all - wide) * Number(this.at.value) / 1000;
    const rows = [...new Set(data.spans.map(rowOf))].sort();
    const svg = document.createElementNS(SVG, "svg");
    svg.setAttribute("viewBox", `0 0 ${WIDE} ${rows.length * ROW + AXIS}`);
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", `steps on ${data.device} from ${from.toFixed(0)} ms on, simulated`);
    const place = (ms) => LEFT + (ms - from) / wide * (WIDE - LEFT);
    rows.forEach((row, n) => {
      const [model, lane] = row.split(":"), name = data.models[model];
      add(svg, "text", { x: 0, y: n * ROW + 19 }, name.length > 15 ? `${name.slice(0, 14)}…` : name)
        .append(add(null, "title", {}, `${name}, lane ${lane}`));
    });
    this.axis(svg, from, wide, rows.length * ROW, place);
    for (const span of data.spans) {
      if (span[1] < from || span[0] > from + wide) continue;
      const x = Math.max(LEFT, place(span[0])), end = Math.min(WIDE, place(span[1]));
      const rect = add(svg, "rect", {
        x, y: rows.indexOf(rowOf(span)) * ROW + 3, width: Math.max(0.5, end - x), height: ROW - 6, class: look(span),
      });
      rect.append(add(null, "title", {}, this.describe(data, span)));
    }
    this.chart.replaceChildren(svg);
    this.note.textContent = `${from.toFixed(0)} to ${(from + wide).toFixed(0)} ms of ${all.toFixed(0)} ms on ${data.device}, simulated`
      + (data.is_cut ? "; more steps followed than are kept here" : "");
  }

  axis(svg, from, wide, bottom, place) {
    const rough = wide / 8, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((n) => n * power).find((value) => value >= rough);
    for (let ms = Math.ceil(from / step) * step; ms <= from + wide; ms += step) {
      add(svg, "path", { d: `M${place(ms)} 0V${bottom}`, class: "grid" });
      add(svg, "text", { x: place(ms), y: bottom + 16, "text-anchor": "middle" }, `${+ms.toFixed(3)} ms`);
    }
  }

  describe(data, [start, end, kind, model, , steps, batch, prompts]) {
    const what = kind === "text" ? `${batch} sequences${prompts ? `, ${prompts} prompt tokens` : ""}` : `batch of ${batch}`;
    return `${data.models[model]} ${kind}: ${steps > 1 ? `${steps} steps, ` : ""}${what}, ${(end - start).toFixed(1)} ms from ${start.toFixed(0)} ms on`;
  }
}

function add(parent, name, attributes, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  parent?.append(node);
  return node;
}
