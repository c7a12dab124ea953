// The MCP server that the public conformance suite expects to find behind the gateway, on the TypeScript SDK.
//
// Wiring only: the published SDK serves both eras over Streamable HTTP on loopback. What it offers is in `tools.mjs`,
// `offer.mjs` and `tasks.mjs`, and the same as what `fixture.py` offers. Its first and only line on stdout is its URL.
// Usage: fixture.mjs [PORT]

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

import { changes, states } from './call.mjs';
import * as offer from './offer.mjs';
import {
  McpServer,
  WebStandardStreamableHTTPServerTransport,
  createMcpHandler,
  hostHeaderValidationResponse,
  isLegacyRequest,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  originValidationResponse,
  toNodeHandler,
} from './sdk.mjs';
import * as tasks from './tasks.mjs';
import * as tools from './tools.mjs';

const EVENTS_MAX = 4096;
// How long a client waits before it comes back for the rest of a stream that was closed.
const RETRY_MS = 200;
const PUBLIC = { ttlMs: 60_000, cacheScope: 'public' };
const CACHEABLE = [
  'server/discover',
  'tools/list',
  'prompts/list',
  'resources/list',
  'resources/templates/list',
  'resources/read',
];

function fixture({ era }) {
  const server = new McpServer(
    { name: 'conformance-fixture', version: '1.0.0' },
    {
      instructions: "Every item has a fixed answer; the names are the conformance suite's.",
      capabilities: {
        completions: {},
        logging: {},
        prompts: { listChanged: true },
        resources: { listChanged: true, subscribe: true },
        tools: { listChanged: true },
      },
      cacheHints: Object.fromEntries(CACHEABLE.map((method) => [method, PUBLIC])),
      requestState: { verify: states.verify },
    },
  );
  tools.register(server);
  offer.register(server);
  if (era === 'modern') tasks.register(server);
  return server;
}

/** The last events of every stream, for clients that come back with `Last-Event-ID`. */
class RecentEvents {
  #events = [];
  #lastId = 0;

  async storeEvent(stream, message) {
    this.#events.push({ id: ++this.#lastId, stream, message });
    if (this.#events.length > EVENTS_MAX) this.#events.shift();
    return String(this.#lastId);
  }

  async replayEventsAfter(lastEventId, { send }) {
    const seen = this.#events.find(({ id }) => String(id) === lastEventId);
    if (!seen) throw new Error(`no event ${lastEventId}`);
    for (const { id, stream, message } of this.#events) {
      // A priming event has no message: there is nothing to replay.
      const isMessage = Object.keys(message).length > 0;
      if (stream === seen.stream && id > seen.id && isMessage) await send(String(id), message);
    }
    return seen.stream;
  }
}

const modern = createMcpHandler(fixture, { legacy: 'reject', bus: changes });
// Session id → transport.
const sessions = new Map();

/** A transport for a session that begins with this request, if it is a greeting: the transport looks. */
async function session() {
  const server = fixture({ era: 'legacy' });
  const transport = new WebStandardStreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    eventStore: new RecentEvents(),
    retryInterval: RETRY_MS,
    onsessioninitialized: (id) => sessions.set(id, transport),
    onsessionclosed: (id) => sessions.delete(id),
  });
  server.server.onclose = () => offer.forget(server);
  await server.connect(transport);
  return transport;
}

async function legacy(request) {
  const id = request.headers.get('mcp-session-id');
  if (id === null) return (await session()).handleRequest(request);
  return sessions.get(id)?.handleRequest(request) ?? new Response('unknown session', { status: 404 });
}

async function answer(request) {
  return (
    hostHeaderValidationResponse(request, localhostAllowedHostnames()) ??
    originValidationResponse(request, localhostAllowedOrigins()) ??
    ((await isLegacyRequest(request)) ? legacy(request) : modern.fetch(request))
  );
}

const http = createServer(toNodeHandler({ fetch: answer }));
http.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${http.address().port}/mcp`);
});
