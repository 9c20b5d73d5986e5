// The planner's closed forms (planner/queueing.py, planner/option.py), so that sliders recompute
// what a plan would answer. Same names, same units: seconds, requests per second, bytes.

const FULLEST = 0.98, SPLITS = [0, 0.5, 1], MANY = 100, BISECTIONS = 14;
const EXACT_SIZES = 12, GROWTH = 1.15;

/** erf by Kummer's series, which never cancels. */
function erf(x) {
  if (x < 0) return -erf(-x);
  if (x > 6) return 1;
  let term = x, sum = x;
  for (let n = 1; term > 1e-17 * sum; n++) { term *= 2 * x * x / (2 * n + 1); sum += term; }
  return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
}

/** Erlang-C of large pools (Halfin and Whitt 1981). */
function halfinWhitt(servers, offered) {
  const beta = (1 - offered / servers) * Math.sqrt(servers);
  if (beta > 30) return 0;
  const below = 0.5 * (1 + erf(beta / Math.SQRT2));
  const density = Math.exp(-beta * beta / 2) / Math.sqrt(2 * Math.PI);
  return density / (density + beta * below);
}

/** The chance that an arrival waits; `offered` in Erlang. */
function erlangC(servers, offered) {
  if (offered >= servers) return 1;
  if (servers > MANY) return halfinWhitt(servers, offered);
  let blocked = 1;
  for (let n = 1; n <= servers; n++) blocked = offered * blocked / (n + offered * blocked);
  return blocked / (1 - offered / servers * (1 - blocked));
}

function waitS(percentile, servers, used, serviceS, variability) {
  if (used >= 1) return Infinity;
  const waiting = erlangC(servers, used * servers);
  if (waiting <= 1 - percentile) return 0;
  return serviceS * variability / (servers * (1 - used)) * Math.log(waiting / (1 - percentile));
}

/** Of the seconds that replies take beyond the tax, those that are not prompts. */
function decodePart(pool, factors) {
  const texts = pool.classes.filter((one) => one.kind === "text");
  const sum = (key) => texts.reduce((total, one) => total + one.planned_rps * factors[one.name] * one[key], 0);
  return sum("seconds") ? 1 - sum("prompt_s") / sum("seconds") : 0;
}

/** Seconds to the first token or the finished image; `split` of the load beyond the tax is text. */
function latencyS(pool, one, servers, used, split, factors, percentile = one.percentile) {
  const free = Math.max(used - pool.tax, 0), text = split * free, others = (1 - split) * free;
  const variability = (one.arrival_cv ** 2 + one.service_cv ** 2) / 2;
  let left = 1 - pool.tax - text, queue = others, blockedS = 0;
  if (one.kind === "text") {
    const decoding = text * decodePart(pool, factors);
    left = 1 - pool.tax - decoding;
    queue = text - decoding;
    blockedS = one.blocked_s;
  }
  if (left <= 0 || queue >= left) return Infinity;
  return blockedS + one.alone_s / left + waitS(percentile, servers, queue / left, one.service_s / left, variability);
}

function keeps(pool, servers, used, factors) {
  if (used < pool.tax) return true;
  const kinds = new Set(pool.classes.map((one) => one.kind));
  const splits = kinds.size > 1 ? SPLITS : [kinds.has("text") ? 1 : 0];
  return pool.classes.every((one) =>
    splits.every((split) => latencyS(pool, one, servers, used, split, factors) <= one.limit_s));
}

/** The size of pool at which the closed form is evaluated: beyond a dozen the next smaller one. */
function gridSize(servers) {
  if (servers <= EXACT_SIZES) return servers;
  const power = Math.floor(Math.log(servers / EXACT_SIZES) / Math.log(GROWTH));
  return Math.floor(EXACT_SIZES * GROWTH ** power);
}

/** The fullest that each of so many replicas may run, decode tax included. */
function share(pool, servers, factors) {
  const size = gridSize(servers), most = (closed) => Math.min(FULLEST, closed * pool.correction);
  if (keeps(pool, size, FULLEST, factors)) return most(FULLEST);
  let low = 0, high = FULLEST;
  for (let n = 0; n < BISECTIONS; n++) {
    const middle = (low + high) / 2;
    if (keeps(pool, size, middle, factors)) low = middle; else high = middle;
  }
  return most(low);
}

/** Replica-seconds per second, and byte-seconds per second, that the classes ask for. */
function work(pool, factors, key = "seconds") {
  return pool.classes.reduce((total, one) => total + one.rate_rps * factors[one.name] * one[key], 0);
}

function fits(pool, replicas, factors) {
  const working = replicas - pool.spare;
  return working > 0
    && work(pool, factors) <= working * (share(pool, working, factors) - pool.tax) + 1e-9
    && work(pool, factors, "held") <= working * pool.free_bytes;
}

/** The fewest replicas that keep every promise; null beyond `most`. */
function needed(pool, factors, most = 1 << 14) {
  if (work(pool, factors) === 0) return 0;
  let high = 1 + pool.spare, low = pool.spare;
  while (!fits(pool, high, factors)) {
    low = high;
    high *= 2;
    if (high > most) return null;
  }
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (fits(pool, middle, factors)) high = middle; else low = middle;
  }
  return high;
}

/** How full the planned replicas run, and the share of that which is text. */
function load(pool, factors) {
  const working = pool.num_replicas - pool.spare, all = work(pool, factors);
  const texts = { classes: pool.classes.filter((one) => one.kind === "text") };
  return { used: pool.tax + all / working, split: all ? work(texts, factors) / all : 1, working };
}
