// The TypeScript SDK 1, which knows the legacy era only, as a client of the server at URL. Usage: typescript_sdk_1.mjs URL

import { Checks, expect, require } from './checks.mjs';

const { Client } = require('@modelcontextprotocol/sdk/client/index.js');
const { StreamableHTTPClientTransport } = require('@modelcontextprotocol/sdk/client/streamableHttp.js');

const checks = new Checks('typescript-1');
await checks.check('connects, runs, leaves', async () => {
  const client = new Client({ name: 'peer', version: '1.0.0' });
  const transport = new StreamableHTTPClientTransport(new URL(process.argv[2]));
  await client.connect(transport);
  expect(transport.sessionId, 'the server named no session');
  expect(transport.protocolVersion === '2025-11-25', `negotiated ${transport.protocolVersion}`);
  await client.ping();
  await checks.all(client);
  await transport.terminateSession();
  await client.close();
  return transport.protocolVersion;
});
process.exit(checks.failed ? 1 : 0);
