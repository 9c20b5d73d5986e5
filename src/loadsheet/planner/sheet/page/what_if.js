// Sliders for the traffic; what the plan as it is would do, and what a new one would need.

const SLIDER = { low: -2, high: 3, step: 0.05 };  // powers of two

const seconds = (value) => value >= 1 ? `${value.toFixed(2)} s` : `${(value * 1e3).toFixed(value < 0.01 ? 2 : 0)} ms`;
const dollars = (value) => `$${value.toLocaleString("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}/h`;

const counted = (number, what) => `${number.toLocaleString("en-US")} ${what}${number === 1 ? "" : "s"}`;

class WhatIf {
  constructor(pools, classes, sliders, outcome) {
    Object.assign(this, { pools, classes, sliders, outcome });
    this.add("all traffic", null);
    for (const one of classes) this.add(one.name, one);
    this.reset();
  }

  add(name, one) {
    const label = document.createElement("label"), text = document.createElement("span");
    const input = document.createElement("input"), shown = document.createElement("span");
    text.textContent = name;
    Object.assign(input, { type: "range", min: SLIDER.low, max: SLIDER.high, step: SLIDER.step, value: 0 });
    input.dataset.name = one ? one.name : "";
    input.addEventListener("input", () => this.show());
    label.append(text, input, shown);
    this.sliders.append(label);
  }

  inputs() { return [...this.sliders.querySelectorAll("input")]; }

  reset() {
    for (const input of this.inputs()) input.value = 0;
    this.show();
  }

  factors() {
    const [all, ...each] = this.inputs();
    return Object.fromEntries(each.map((input) => [input.dataset.name, 2 ** (Number(all.value) + Number(input.value))]));
  }

  show() {
    const factors = this.factors();
    for (const input of this.inputs()) {
      const one = this.classes.find((item) => item.name === input.dataset.name);
      const factor = one ? factors[one.name] : 2 ** Number(input.value);
      const rate = one ? `${(one.planned_rps * factor).toPrecision(3)} /s` : `x ${factor.toFixed(2)}`;
      input.nextElementSibling.textContent = rate;
      input.setAttribute("aria-valuetext", rate);
    }
    this.outcome.replaceChildren(...this.lines(recompute(this.pools, factors)));
  }

  lines(found) {
    const line = (name, text) => Object.assign(document.createElement("p"), { className: name, textContent: text });
    const lines = [];
    const now = found.groups.reduce((sum, one) => sum + one.present, 0);
    if (found.devices === null) lines.push(line("big bad", "no number of these replicas keeps the promises"));
    else {
      const cost = found.usd_per_hour === null ? "" : `, ${dollars(found.usd_per_hour)}`;
      lines.push(line("big", `needs ${counted(found.devices, "device")}${cost}`));
    }
    const fine = found.groups.every((one) => one.is_kept);
    lines.push(line(fine ? "good" : "bad", fine ? `every promise is kept on the planned ${counted(now, "device")}` : `not every promise is kept on the planned ${counted(now, "device")}`));
    for (const one of found.groups) {
      const replicas = one.replicas === null ? "none suffices" : counted(one.replicas, "replica");
      lines.push(line(one.is_kept ? "muted" : "bad", `${one.name}: ${replicas} (planned ${one.planned}), ${Math.round(100 * one.used)} % busy`));
      for (const item of one.classes) {
        const late = item.latency_s > item.limit_s;
        lines.push(line(late ? "bad" : "muted", `  ${item.name} p${100 * item.percentile}: ${isFinite(item.latency_s) ? seconds(item.latency_s) : "never"} of ${seconds(item.limit_s)}`));
      }
    }
    return lines;
  }
}

/** What the closed forms say of every pool at these factors on the planned rates. */
function recompute(pools, factors) {
  const groups = pools.map((pool) => {
    const replicas = needed(pool, factors), at = load(pool, factors);
    return {
      name: pool.name, planned: pool.num_replicas, replicas, used: at.used,
      present: pool.num_replicas * pool.num_devices,
      is_kept: fits(pool, pool.num_replicas, factors),
      usd_per_hour: pool.usd_per_hour === null || replicas === null ? null : replicas * pool.usd_per_hour,
      devices: replicas === null ? null : replicas * pool.num_devices,
      classes: pool.classes.filter((one) => one.rate_rps > 0).map((one) => ({
        name: one.name, percentile: one.percentile, limit_s: one.limit_s,
        latency_s: latencyS(pool, one, at.working, at.used, at.split, factors),
      })),
    };
  });
  const total = (key) => groups.some((one) => one[key] === null) ? null : groups.reduce((sum, one) => sum + one[key], 0);
  return { groups, devices: total("devices"), usd_per_hour: total("usd_per_hour") };
}
