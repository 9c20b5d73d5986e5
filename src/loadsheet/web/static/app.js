// Chat and draw on one page, with the device that does both below. No build step, no network beyond
// this server. `window.__ready` turns true when the models are known.

import { getJson, setKey } from "./api.js";
import { Chat } from "./chat.js";
import { Device } from "./device.js";
import { Gallery } from "./draw.js";

const $ = (id) => document.getElementById(id);
const THEME = "loadsheet.theme";

window.__ready = false;
const chat = new Chat();
const gallery = new Gallery();
const device = new Device();

async function loadModels() {
  const { data } = await getJson("v1/models");
  chat.setModels(data.filter(({ kind }) => kind === "text"));
  gallery.setModels(data.filter(({ kind }) => kind === "image"));
}

async function start() {
  try {
    await loadModels();
  } catch (error) {
    if (error.status === 401) $("key-dialog").showModal();
  }
  await device.poll();
  window.__ready = true;
  document.documentElement.dataset.ready = "true"; // the same, for tools that wait on selectors
  device.run();
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  device.paint();
}

$("theme").addEventListener("click", () => {
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  const theme = (document.documentElement.dataset.theme ?? system) === "dark" ? "light" : "dark";
  localStorage.setItem(THEME, theme);
  setTheme(theme);
});

for (const idea of document.querySelectorAll("[data-idea]")) {
  idea.addEventListener("click", () => {
    $(idea.dataset.idea).value = idea.textContent;
    $(idea.dataset.idea).focus();
  });
}

$("key-open").addEventListener("click", () => $("key-dialog").showModal());
$("key-dialog").addEventListener("close", async () => {
  if ($("key-dialog").returnValue !== "save") return;
  setKey($("key-input").value.trim());
  await loadModels().catch(() => {});
});

if (localStorage.getItem(THEME)) setTheme(localStorage.getItem(THEME));
start();
