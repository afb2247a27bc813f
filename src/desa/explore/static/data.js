// Requests to the server that this page came from; columns and curves come as float32.

const columns = new Map();

async function answer(address, options) {
  const response = await fetch(address, options);
  if (!response.ok) throw new Error(await reason(response));
  return response;
}

// What the server says was wrong, in words.
async function reason(response) {
  const text = await response.text();
  try {
    const { detail } = JSON.parse(text);
    if (typeof detail === "string") return detail;
  } catch {
    // no JSON: the text itself
  }
  return `${text || "no answer"} (HTTP ${response.status})`;
}

export async function json(address, options) {
  return (await answer(address, options)).json();
}

export async function floats(address, options) {
  return new Float32Array(await (await answer(address, options)).arrayBuffer());
}

export function column(key) {
  if (!columns.has(key)) {
    const asked = floats(`/api/column/${encodeURIComponent(key)}`);
    asked.catch(() => columns.delete(key));
    columns.set(key, asked);
  }
  return columns.get(key);
}

export async function exported(rows, format, keys) {
  const query = new URLSearchParams({ format, columns: keys.join(",") });
  const response = await answer(`/api/export?${query}`, { method: "POST", body: Uint32Array.from(rows) });
  const name = /filename="([^"]+)"/.exec(response.headers.get("content-disposition"))[1];
  return { name, content: await response.blob() };
}
