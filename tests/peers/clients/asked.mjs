// A client on a TypeScript SDK that is asked for a form, a sample and its roots by the servers behind URL, and whose answers
// come back in what their tools say. Usage: asked.mjs URL (1 | legacy | 2026-07-28), where 1 is the SDK 1.

import { readFileSync } from 'node:fs';

import { Checks, expect, require } from './checks.mjs';

const ASKED = JSON.parse(readFileSync(new URL('asked.json', import.meta.url), 'utf8'));
const MODES = { legacy: 'legacy', '2026-07-28': { pin: '2026-07-28' } };

const [url, name] = process.argv.slice(2);
const first = name === '1';
const { Client, StreamableHTTPClientTransport } = first
  ? {
      ...require('@modelcontextprotocol/sdk/client/index.js'),
      ...require('@modelcontextprotocol/sdk/client/streamableHttp.js'),
    }
  : require('@modelcontextprotocol/client');

const checks = new Checks(`typescript ${name}`);
await checks.check('connects, runs, leaves', async () => {
  const options = { capabilities: { roots: {}, sampling: {}, elicitation: {} } };
  if (!first) options.versionNegotiation = { mode: MODES[name] };
  const client = new Client({ name: 'peer', version: '1.0.0' }, options);
  const answers = {
    'roots/list': { roots: [{ uri: ASKED.root, name: 'peer' }] },
    'elicitation/create': {
      action: 'accept',
      content: { name: ASKED.name, username: ASKED.name, email: 'ada@example.com' },
    },
    'sampling/createMessage': {
      role: 'assistant',
      model: 'peer',
      stopReason: 'endTurn',
      content: { type: 'text', text: ASKED.sample },
    },
  };
  const types = first ? require('@modelcontextprotocol/sdk/types.js') : {};
  const schemas = {
    'roots/list': types.ListRootsRequestSchema,
    'elicitation/create': types.ElicitRequestSchema,
    'sampling/createMessage': types.CreateMessageRequestSchema,
  };
  const asked = {};
  for (const [method, answer] of Object.entries(answers)) {
    client.setRequestHandler(first ? schemas[method] : method, async () => {
      asked[method] = (asked[method] ?? 0) + 1;
      return answer;
    });
  }
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  for (const [tool, args, text] of ASKED.calls) {
    await checks.check(tool, async () => {
      const result = await client.callTool({ name: tool, arguments: args });
      expect(JSON.stringify(result.content).includes(text), `got ${JSON.stringify(result)}`);
    });
  }
  // A server may keep the roots that it was told before.
  const counts = JSON.stringify(asked);
  expect(asked['elicitation/create'] === 3 && asked['sampling/createMessage'] === 3, `was asked ${counts}`);
  expect(asked['roots/list'] >= 1, `was asked ${counts}`);
  await client.close();
  return counts;
});
process.exit(checks.failed ? 1 : 0);
