// The TypeScript SDK 2 as a client of the server at URL, or on the pipes of a command that it starts.
// Usage: typescript_sdk_2.mjs (URL | -) (auto | legacy | 2026-07-28) [COMMAND…]

import { Checks, expect, require } from './checks.mjs';

const { Client, StreamableHTTPClientTransport } = require('@modelcontextprotocol/client');
const { StdioClientTransport } = require('@modelcontextprotocol/client/stdio');

// What each mode has to end up with on a server of both eras.
const MODES = {
  auto: { mode: 'auto', version: '2026-07-28' },
  legacy: { mode: 'legacy', version: '2025-11-25' },
  '2026-07-28': { mode: { pin: '2026-07-28' }, version: '2026-07-28' },
};

const [url, name, command, ...args] = process.argv.slice(2);
const { mode, version } = MODES[name];
const checks = new Checks(`typescript-2${command ? '-stdio' : ''} ${name}`);
await checks.check('connects, runs, leaves', async () => {
  const client = new Client({ name: 'peer', version: '1.0.0' }, { versionNegotiation: { mode } });
  const transport = command
    ? new StdioClientTransport({ command, args })
    : new StreamableHTTPClientTransport(new URL(url));
  await client.connect(transport);
  const negotiated = client.getNegotiatedProtocolVersion();
  expect(negotiated === version, `negotiated ${negotiated}`);
  await checks.all(client);
  await client.close();
  return negotiated;
});
process.exit(checks.failed ? 1 : 0);
