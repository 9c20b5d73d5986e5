// The server's API as the page uses it: JSON, streams of server-sent events, one optional key.

const KEY = "loadsheet.key";

export function setKey(key) {
  if (key) sessionStorage.setItem(KEY, key);
  else sessionStorage.removeItem(KEY);
}

function headers() {
  const key = sessionStorage.getItem(KEY);
  return { "Content-Type": "application/json", ...(key ? { Authorization: `Bearer ${key}` } : {}) };
}

export class ApiError extends Error {
  constructor(status, error) {
    super(error?.message ?? `the server answered ${status}`);
    this.status = status;
    this.code = error?.code ?? null;
  }
}

async function refuse(response) {
  const body = await response.json().catch(() => ({}));
  throw new ApiError(response.status, body.error);
}

export async function getJson(path) {
  const response = await fetch(path, { headers: headers(), cache: "no-store" });
  return response.ok ? response.json() : refuse(response);
}

// Yields {data} for every event and {comment} for every comment line, as they arrive.
export async function* stream(path, body, signal) {
  const response = await fetch(path, {
    method: "POST",
    headers: headers(),
    body: JSON.stringify(body),
    signal,
  });
  if (!response.ok) await refuse(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    buffer += value;
    const events = buffer.split("\n\n");
    buffer = events.pop();
    for (const event of events) yield* parseEvent(event);
  }
}

function* parseEvent(event) {
  for (const line of event.split("\n")) {
    if (line.startsWith(":")) yield { comment: line.slice(1).trim() };
    if (!line.startsWith("data: ") || line === "data: [DONE]") continue;
    const data = JSON.parse(line.slice(6));
    if (data.error) throw new ApiError(500, data.error);
    yield { data };
  }
}
