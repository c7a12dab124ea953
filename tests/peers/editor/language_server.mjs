// Opens texts in the YAML language server, as an editor does over stdio, and prints what it says of each.
//
// Usage: language_server.mjs SERVER FOLDER, with a list of { name, text, cursor } on stdin. The texts count as files of
// FOLDER; cursor is { line, character } or absent. Prints a list of { name, diagnostics, completion, hover } in the same
// order, where a diagnostic is { line, message }, lines counted from 1.
import { spawn } from "node:child_process";
import { text as read } from "node:stream/consumers";
import { pathToFileURL } from "node:url";

const [script, folder] = process.argv.slice(2);
const documents = JSON.parse(await read(process.stdin));
const server = spawn(process.execPath, [script, "--stdio"], { stdio: ["pipe", "pipe", "inherit"] });
server.on("exit", (code) => process.exit(code ?? 1));

const answers = new Map();
const published = new Map();
let requests = 0;

function send(message) {
  const body = JSON.stringify({ jsonrpc: "2.0", ...message });
  server.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
}

function ask(method, params) {
  const id = ++requests;
  send({ id, method, params });
  return new Promise((resolve, reject) => answers.set(id, { resolve, reject }));
}

// Nothing is fetched from elsewhere: the schema is the one that each text names.
const settings = { yaml: { schemaStore: { enable: false }, validate: true, completion: true, hover: true } };

function receive({ id, method, params, result, error }) {
  if (method === "workspace/configuration") {
    send({ id, result: params.items.map(({ section }) => settings[section] ?? null) });
  } else if (method && id !== undefined) {
    send({ id, result: null });
  } else if (method === "textDocument/publishDiagnostics") {
    published.get(params.uri)?.(params.diagnostics);
  } else if (!method) {
    const { resolve, reject } = answers.get(id);
    error ? reject(new Error(error.message)) : resolve(result);
  }
}

let received = Buffer.alloc(0);
server.stdout.on("data", (bytes) => {
  received = Buffer.concat([received, bytes]);
  for (;;) {
    const head = received.indexOf("\r\n\r\n");
    if (head < 0) return;
    const end = head + 4 + Number(/content-length: (\d+)/i.exec(received.toString("latin1", 0, head))[1]);
    if (received.length < end) return;
    const body = received.toString("utf8", head + 4, end);
    received = received.subarray(end);
    receive(JSON.parse(body));
  }
});

async function show({ name, text, cursor }) {
  const uri = pathToFileURL(`${folder}/${name}`).href;
  const diagnostics = new Promise((resolve) => published.set(uri, resolve));
  send({ method: "textDocument/didOpen", params: { textDocument: { uri, languageId: "yaml", version: 1, text } } });
  const shown = { name, diagnostics: (await diagnostics).map(({ range, message }) => ({ line: range.start.line + 1, message })) };
  if (cursor) {
    const at = { textDocument: { uri }, position: cursor };
    shown.completion = (await ask("textDocument/completion", at))?.items ?? [];
    shown.hover = (await ask("textDocument/hover", at))?.contents?.value ?? "";
  }
  return shown;
}

await ask("initialize", {
  processId: process.pid,
  rootUri: null,
  capabilities: {
    workspace: { configuration: true },
    textDocument: {
      publishDiagnostics: {},
      hover: { contentFormat: ["markdown"] },
      completion: { completionItem: { snippetSupport: true, documentationFormat: ["markdown"] } },
    },
  },
});
send({ method: "initialized", params: {} });
const shown = await Promise.all(documents.map(show));
await new Promise((resolve) => process.stdout.write(JSON.stringify(shown), resolve));
process.exit(0);
