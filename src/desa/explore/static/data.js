// Requests to the server that this page came from; columns and curves come as float32.

const columns = new Map();

async function answer(address, options) {
  const response = await fetch(address, options);
  if (!response.ok) {
    throw new Error(`${address.split("?")[0]}: ${response.status} ${await response.text()}`);
  }
  return response;
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
