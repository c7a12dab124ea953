// A server on the TypeScript SDK 2 that speaks the modern era alone. Usage: typescript_sdk_2.mjs PORT

import { createRequire } from 'node:module';
import { createServer } from 'node:http';

const require = createRequire(`${process.env.PEERS}/node/`);
const { McpServer, createMcpHandler, fromJsonSchema } = require('@modelcontextprotocol/server');
const { toNodeHandler } = require('@modelcontextprotocol/node');

const takes = (name, type) =>
  fromJsonSchema({ type: 'object', properties: { [name]: { type } }, required: [name] });

function server() {
  const server = new McpServer({ name: 'typescript-2', version: '1.0.0' });
  server.registerTool('echo', { inputSchema: takes('message', 'string') }, ({ message }) => ({
    content: [{ type: 'text', text: `Echo: ${message}` }],
  }));
  server.registerTool('count', { inputSchema: takes('steps', 'integer') }, async ({ steps }, context) => {
    const { progressToken } = context.mcpReq._meta ?? {};
    for (let progress = 1; progressToken !== undefined && progress <= steps; progress++) {
      await context.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: steps } });
    }
    return { content: [{ type: 'text', text: `counted to ${steps}` }] };
  });
  return server;
}

const handler = toNodeHandler(createMcpHandler(server, { legacy: 'reject' }));
createServer((request, response) => handler(request, response)).listen(Number(process.argv[2]), '127.0.0.1');
