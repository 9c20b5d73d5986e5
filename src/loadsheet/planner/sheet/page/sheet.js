// Ties the page together. Without script it is still a complete text.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

function explain(target) {
  const found = target.closest("[data-why]");
  if (!found) return;
  byId("formula").querySelector("p").textContent = found.dataset.why;
  byId("formula").showModal();
}
document.addEventListener("click", (event) => explain(event.target));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !event.target.matches?.("g[data-why]")) return;
  event.preventDefault();  // or it would press the button of the dialog, too
  explain(event.target);
});

if (data.pools.length) {
  byId("what-if").hidden = false;
  const whatIf = new WhatIf(data.pools, data.classes, byId("sliders"), byId("outcome"));
  byId("reset").addEventListener("click", () => whatIf.reset());
}
if (data.gantts.length) {
  byId("gantt").hidden = false;
  new Gantt(data.gantts, byId("gantt-chart"), byId("gantt-at"), byId("gantt-note"));
}
for (const id of ["losses", "schedules", "notes", "pareto", "roofline"]) {
  const section = byId(id);
  section.hidden = !section.querySelector("td, li");
}
window.loadsheet = { erf, erlangC, waitS, latencyS, share, needed, fits, load, recompute };
window.__ready = true;
