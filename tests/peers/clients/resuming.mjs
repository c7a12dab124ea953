// A client on a TypeScript SDK that loses the connection of a call, and comes back for the rest of it: every step of the
// call and its answer arrive once. Whoever starts this cuts the connections. Usage: resuming.mjs URL (1 | 2)

import { Checks, expect, require } from './checks.mjs';

const STEPS = 6;

const [url, sdk] = process.argv.slice(2);
const { Client, StreamableHTTPClientTransport } =
  sdk === '2'
    ? require('@modelcontextprotocol/client')
    : {
        ...require('@modelcontextprotocol/sdk/client/index.js'),
        ...require('@modelcontextprotocol/sdk/client/streamableHttp.js'),
      };
const checks = new Checks(`typescript-${sdk}`);
await checks.check('comes back for the rest of a call', async () => {
  const client = new Client({ name: 'peer', version: '1.0.0' });
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  const steps = [];
  const call = { name: 'admin__wait', arguments: { milliseconds: 3000, steps: STEPS } };
  const options = { onprogress: ({ progress }) => steps.push(progress) };
  const result = await (sdk === '2' ? client.callTool(call, options) : client.callTool(call, undefined, options));
  expect(result.structuredContent.steps === STEPS, `answered ${JSON.stringify(result)}`);
  expect(steps.join() === '1,2,3,4,5,6', `steps ${steps}`);
  await client.close();
});
process.exit(checks.failed ? 1 : 0);
