// Cumulative distribution curves: one small SVG per metric, a curve per phase.

const SIZE = { width: 320, height: 170, left: 40, right: 10, top: 8, bottom: 24 };

function drawCurves(charts, holder) {
  for (const chart of charts) {
    const figure = document.createElement("div");
    figure.className = "chart";
    figure.innerHTML = `<h3></h3>${curveSvg(chart)}<div class="key"></div>`;
    figure.querySelector("h3").textContent = `${chart.traffic}: ${chart.metric.replaceAll("_", " ")}`;
    const key = figure.querySelector(".key");
    key.textContent = phaseKey(chart);
    readOnHover(figure.querySelector("svg"), chart, key);
    holder.append(figure);
  }
}

function phaseKey(chart) {
  return chart.curves.length > 1 ? "solid: in the mix, dashed: alone" : chart.curves[0].phase;
}

function curveRange(chart) {
  const ends = chart.curves.flatMap((curve) => [curve.points[0][0], curve.points.at(-1)[0]]);
  const high = Math.max(...ends);
  // a far objective would squeeze the curves: it is only drawn when it is near
  const isNear = chart.target_ms && chart.target_ms < 2.5 * high;
  const low = Math.min(...ends);
  const from = low > 0.5 * high ? low - 0.2 * (high - low) - 0.02 * high : 0;
  return { from: Math.max(0, from), to: 1.04 * Math.max(high, isNear ? chart.target_ms : 0), isNear };
}

function curveSvg(chart) {
  const { width, height, left, right, top, bottom } = SIZE;
  const range = curveRange(chart);
  const x = (ms) => left + ((ms - range.from) / (range.to - range.from)) * (width - left - right);
  const y = (share) => height - bottom - share * (height - top - bottom);
  const lines = chart.curves.map((curve) => {
    const start = `M${x(curve.points[0][0])},${y(0)}`;
    // steps, not slopes: between two values nothing was measured
    const path = curve.points.map(([ms, share]) => `H${x(ms).toFixed(1)}V${y(share).toFixed(1)}`);
    const style = curve.phase.startsWith("alone") && chart.curves.length > 1 ? "curve alone" : "curve";
    return `<path class="${style}" stroke="var(--${chart.kind})" d="${start}${path.join("")}"/>`;
  });
  const shares = [0, 0.5, 0.9, 1].map(
    (share) => `<line class="axis" x1="${left}" x2="${width - right}" y1="${y(share)}" y2="${y(share)}"/>
      <text x="${left - 5}" y="${y(share) + 4}" text-anchor="end">${share * 100}%</text>`);
  const ticks = niceTicks(range.from, range.to, 4).map(
    (ms) => `<text x="${Math.min(x(ms), width - 20)}" y="${height - 7}" text-anchor="middle">${showMs(ms)}</text>`);
  const target = range.isNear
    ? `<line class="target" x1="${x(chart.target_ms)}" x2="${x(chart.target_ms)}" y1="${top}" y2="${y(0)}"/>`
    : "";
  return `<svg viewBox="0 0 ${width} ${height}" role="img"
    aria-label="distribution of ${chart.metric}">${shares.join("")}${ticks.join("")}${target}${lines.join("")}</svg>`;
}

function readOnHover(svg, chart, key) {
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const across = ((event.clientX - box.left) / box.width) * SIZE.width;
    const range = curveRange(chart);
    const inner = SIZE.width - SIZE.left - SIZE.right;
    const ms = range.from + ((across - SIZE.left) / inner) * (range.to - range.from);
    const parts = chart.curves.map((curve) => `${(100 * shareAt(curve.points, ms)).toFixed(1)}% ${curve.phase}`);
    key.textContent = `≤ ${showMs(Math.max(0, ms))}: ${parts.join(", ")}`;
  });
  svg.addEventListener("pointerleave", () => { key.textContent = phaseKey(chart); });
}

function shareAt(points, ms) {
  let share = 0;
  for (const [at, value] of points) if (at <= ms) share = value;
  return share;
}

function niceTicks(from, to, count) {
  const rough = (to - from) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const ticks = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) ticks.push(at);
  return ticks;
}

function showMs(ms) {
  if (ms >= 1000) return `${+(ms / 1000).toPrecision(4)} s`;
  return `${+ms.toPrecision(3)} ms`;
}
