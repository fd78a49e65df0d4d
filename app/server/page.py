"""The page at /docs: its script and style are inside, nothing comes from elsewhere."""

HTML = r"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Hearth's server</title>
<style>
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 20%, transparent); }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .4rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; } summary code { margin-right: .8rem; }
b.method { display: inline-block; width: 4.5rem; }
textarea, input { width: 100%; box-sizing: border-box; font: 13px/1.4 ui-monospace, monospace; }
textarea { min-height: 9rem; } pre { overflow: auto; max-height: 24rem; white-space: pre-wrap; }
button { padding: .3rem 1rem; margin: .5rem .5rem .5rem 0; } label { display: block; margin: .5rem 0; }
</style>
<h1>Hearth's server</h1>
<p>Everything that is served here, made from the program itself: <a href="/openapi.json">openapi.json</a>.</p>
<label>API key (when one is set) <input id="key" type="password" autocomplete="off"></label>
<main id="list"></main>
<script>
"use strict";
const examples = {
  "/v1/chat/completions": {model: "", messages: [{role: "user", content: "Hello!"}], stream: true},
  "/v1/completions": {model: "", prompt: "Once upon a time", max_tokens: 32},
  "/v1/responses": {model: "", input: "Hello!"},
  "/v1/embeddings": {model: "", input: "Hello!"},
  "/v1/messages": {model: "", max_tokens: 128, messages: [{role: "user", content: "Hello!"}]},
  "/api/chat": {model: "", messages: [{role: "user", content: "Hello!"}]},
  "/api/generate": {model: "", prompt: "Hello!"},
  "/api/v1/chat": {model: "", input: "Hello!"},
};
const make = (tag, text, parent) => {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  if (parent) parent.append(node);
  return node;
};
const sample = (schema, defs, depth) => {
  if (!schema || depth > 3) return null;
  if (schema.$ref) return sample(defs[schema.$ref.split("/").pop()], defs, depth);
  if (schema.enum) return schema.enum[0];
  if (schema.anyOf) return sample(schema.anyOf[0], defs, depth);
  if (schema.type === "array") return [sample(schema.items, defs, depth + 1)];
  if (schema.type === "object") {
    const out = {};
    for (const name of schema.required || []) out[name] = sample((schema.properties || {})[name], defs, depth + 1);
    return out;
  }
  return {string: "", integer: schema.minimum || 0, number: 0, boolean: false}[schema.type] ?? null;
};
async function send(method, path, body, out, stop) {
  const headers = {};
  const key = document.getElementById("key").value;
  if (key) headers.Authorization = "Bearer " + key;
  if (body !== null) headers["Content-Type"] = "application/json";
  out.textContent = "...";
  try {
    const answer = await fetch(path, {method, headers, body, signal: stop.signal});
    out.textContent = answer.status + " " + answer.statusText + "\n\n";
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const {done, value} = await reader.read();
      if (done) break;
      out.textContent += value;
    }
  } catch (error) { out.textContent += "\n" + error; }
}
function draw(path, method, operation, defs, parent) {
  const box = make("details", "", parent), head = make("summary", "", box);
  make("b", method.toUpperCase(), head).className = "method";
  make("code", path, head);
  head.append(operation.summary);
  let address = null, text = null;
  if (path.includes("{")) {
    address = make("input", "", make("label", "Path", box));
    address.value = path;
  }
  const schema = operation.requestBody?.content["application/json"].schema;
  if (schema) {
    text = make("textarea", "", make("label", "Body", box));
    text.value = JSON.stringify(examples[path] || sample(schema, defs, 0), null, 2);
    const about = make("details", "", box);
    make("summary", "Schema", about);
    make("pre", JSON.stringify(schema.$ref ? defs[schema.$ref.split("/").pop()] : schema, null, 2), about);
  }
  const go = make("button", "Send", box), end = make("button", "Stop", box), out = make("pre", "", box);
  let stop = new AbortController();
  go.onclick = () => {
    stop = new AbortController();
    send(method.toUpperCase(), address ? address.value : path, text ? text.value : null, out, stop);
  };
  end.onclick = () => stop.abort();
}
(async () => {
  const spec = await (await fetch("/openapi.json")).json(), list = document.getElementById("list"), groups = {};
  for (const [path, methods] of Object.entries(spec.paths))
    for (const [method, operation] of Object.entries(methods))
      (groups[operation.tags[0]] ||= []).push([path, method, operation]);
  for (const [name, rows] of Object.entries(groups)) {
    make("h2", name, list);
    for (const row of rows) draw(...row, spec.components.schemas, list);
  }
})();
</script>
</html>
"""
