// Puts the page together from the data block.

const data = JSON.parse(document.getElementById("data").textContent);
const timeline = new Timeline(document.getElementById("timeline"), document.getElementById("timeline-note"));
const phases = document.getElementById("phases");

function choose(index) {
  [...phases.children].forEach((button, at) => button.setAttribute("aria-pressed", String(at === index)));
  timeline.show(data.timelines[index]);
}

data.timelines.forEach((item, index) => {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = item.phase;
  button.addEventListener("click", () => choose(index));
  phases.append(button);
});

if (data.timelines.length) choose(0);
drawCurves(data.curves, document.getElementById("curves"));
window.__ready = true;
