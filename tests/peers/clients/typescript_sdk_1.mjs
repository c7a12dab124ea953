// The TypeScript SDK 1, which knows the legacy era only, as a client of the server at URL, over Streamable HTTP or what
// the second argument says: HTTP+SSE, WebSocket; or on the pipes of a command that it starts.
// Usage: typescript_sdk_1.mjs URL [sse|ws], or typescript_sdk_1.mjs - stdio COMMAND…

import { Checks, expect, require } from './checks.mjs';

const { Client } = require('@modelcontextprotocol/sdk/client/index.js');
const { SSEClientTransport } = require('@modelcontextprotocol/sdk/client/sse.js');
const { StdioClientTransport } = require('@modelcontextprotocol/sdk/client/stdio.js');
const { StreamableHTTPClientTransport } = require('@modelcontextprotocol/sdk/client/streamableHttp.js');
const { WebSocketClientTransport } = require('@modelcontextprotocol/sdk/client/websocket.js');

const [url, kind, command, ...args] = process.argv.slice(2);
const Transport = { sse: SSEClientTransport, ws: WebSocketClientTransport }[kind] ?? StreamableHTTPClientTransport;
const checks = new Checks(kind ? `typescript-1-${kind}` : 'typescript-1');
await checks.check('connects, runs, leaves', async () => {
  const client = new Client({ name: 'peer', version: '1.0.0' });
  const transport = command ? new StdioClientTransport({ command, args }) : new Transport(new URL(url));
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
