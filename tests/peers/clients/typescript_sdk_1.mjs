// The TypeScript SDK 1, which knows the legacy era only, as a client of the server at URL, over Streamable HTTP or what
// the second argument says: HTTP+SSE, WebSocket. Usage: typescript_sdk_1.mjs URL [sse|ws]

import { Checks, expect, require } from './checks.mjs';

const { Client } = require('@modelcontextprotocol/sdk/client/index.js');
const { SSEClientTransport } = require('@modelcontextprotocol/sdk/client/sse.js');
const { StreamableHTTPClientTransport } = require('@modelcontextprotocol/sdk/client/streamableHttp.js');
const { WebSocketClientTransport } = require('@modelcontextprotocol/sdk/client/websocket.js');

const [url, kind] = process.argv.slice(2);
const Transport = { sse: SSEClientTransport, ws: WebSocketClientTransport }[kind] ?? StreamableHTTPClientTransport;
const checks = new Checks(kind ? `typescript-1-${kind}` : 'typescript-1');
await checks.check('connects, runs, leaves', async () => {
  const client = new Client({ name: 'peer', version: '1.0.0' });
  const transport = new Transport(new URL(url));
  await client.connect(transport);
  if (!kind) {
    expect(transport.sessionId, 'the server named no session');
    expect(transport.protocolVersion === '2025-11-25', `negotiated ${transport.protocolVersion}`);
  }
  await client.ping();
  await checks.all(client);
  if (!kind) await transport.terminateSession();
  await client.close();
  return transport.protocolVersion;
});
process.exit(checks.failed ? 1 : 0);
