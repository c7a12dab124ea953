// A client on a TypeScript SDK that subscribes to a resource, and is told that it and the list of tools changed. Once it is
// subscribed it prints a line: then whoever starts this sees to the changes. Usage: told.mjs URL RESOURCE (1 | 2)

import { Checks, expect, require } from './checks.mjs';

const [url, uri, sdk] = process.argv.slice(2);
const { Client, StreamableHTTPClientTransport } =
  sdk === '2'
    ? require('@modelcontextprotocol/client')
    : {
        ...require('@modelcontextprotocol/sdk/client/index.js'),
        ...require('@modelcontextprotocol/sdk/client/streamableHttp.js'),
      };
const UPDATED = 'notifications/resources/updated';
const CHANGED = 'notifications/tools/list_changed';

/** The first notification of a kind. */
function heard(client, method) {
  return new Promise((resolve) => {
    if (sdk === '2') return client.setNotificationHandler(method, resolve);
    const { ResourceUpdatedNotificationSchema, ToolListChangedNotificationSchema } = require(
      '@modelcontextprotocol/sdk/types.js',
    );
    const schema = method === UPDATED ? ResourceUpdatedNotificationSchema : ToolListChangedNotificationSchema;
    client.setNotificationHandler(schema, resolve);
  });
}

const checks = new Checks(`typescript-${sdk}`);
await checks.check('is told of changes', async () => {
  const client = new Client({ name: 'peer', version: '1.0.0' });
  const told = [UPDATED, CHANGED].map((method) => heard(client, method));
  await client.connect(new StreamableHTTPClientTransport(new URL(url)));
  const { resources, tools } = client.getServerCapabilities();
  expect(resources.subscribe && tools.listChanged, 'nothing is declared');
  await client.subscribeResource({ uri });
  console.log('subscribed');
  const [updated] = await Promise.all(told);
  expect(updated.params.uri === uri, `told of ${JSON.stringify(updated)}`);
  await client.unsubscribeResource({ uri });
  await client.close();
});
process.exit(checks.failed ? 1 : 0);
