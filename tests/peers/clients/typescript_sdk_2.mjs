// The TypeScript SDK 2 as a client of the server at URL. Usage: typescript_sdk_2.mjs URL (auto | legacy | 2026-07-28)

import { Checks, expect, require } from './checks.mjs';

const { Client, StreamableHTTPClientTransport } = require('@modelcontextprotocol/client');

// What each mode has to end up with on a server of both eras.
const MODES = {
  auto: { mode: 'auto', version: '2026-07-28' },
  legacy: { mode: 'legacy', version: '2025-11-25' },
  '2026-07-28': { mode: { pin: '2026-07-28' }, version: '2026-07-28' },
};

const [url, name] = process.argv.slice(2);
const { mode, version } = MODES[name];
const checks = new Checks(`typescript-2 ${name}`);
await checks.check('connects, runs, leaves', async () => {
  const client = new Client({ name: 'peer', version: '1.0.0' }, { versionNegotiation: { mode } });
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  const negotiated = client.getNegotiatedProtocolVersion();
  expect(negotiated === version, `negotiated ${negotiated}`);
  await checks.all(client);
  await client.close();
  return negotiated;
});
process.exit(checks.failed ? 1 : 0);
