// The TypeScript SDK 1, which knows the legacy era only, as a client of the server at URL, over Streamable HTTP or, where
// `sse` says so, over HTTP+SSE. Usage: typescript_sdk_1.mjs URL [sse]

import { Checks, expect, require } from './checks.mjs';

const { Client } = require('@modelcontextprotocol/sdk/client/index.js');
const { SSEClientTransport } = require('@modelcontextprotocol/sdk/client/sse.js');
const { StreamableHTTPClientTransport } = require('@modelcontextprotocol/sdk/client/streamableHttp.js');

const [url, kind] = process.argv.slice(2);
const sse = kind === 'sse';
const checks = new Checks(sse ? 'typescript-1-sse' : 'typescript-1');
await checks.check('connects, runs, leaves', async () => {
  const client = new Client({ name: 'peer', version: '1.0.0' });
  const Transport = sse ? SSEClientTransport : StreamableHTTPClientTransport;
  const transport = new Transport(new URL(url));
  await client.connect(transport);
  if (!sse) {
    expect(transport.sessionId, 'the server named no session');
    expect(transport.protocolVersion === '2025-11-25', `negotiated ${transport.protocolVersion}`);
  }
  await client.ping();
  await checks.all(client);
  if (!sse) await transport.terminateSession();
  await client.close();
  return transport.protocolVersion;
});
process.exit(checks.failed ? 1 : 0);
