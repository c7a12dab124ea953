// The published TypeScript SDK, wherever the peers are installed (PEERS).

import { createRequire } from 'node:module';

const require = createRequire(`${process.env.PEERS}/node/`);

export const {
  CLIENT_CAPABILITIES_META_KEY,
  InMemoryServerEventBus,
  McpServer,
  ProtocolError,
  ProtocolErrorCode,
  ResourceTemplate,
  WebStandardStreamableHTTPServerTransport,
  createMcpHandler,
  createRequestStateCodec,
  fromJsonSchema,
  hostHeaderValidationResponse,
  inputRequired,
  inputResponse,
  isLegacyRequest,
  localhostAllowedHostnames,
  localhostAllowedOrigins,
  originValidationResponse,
} = require('@modelcontextprotocol/server');
export const { toNodeHandler } = require('@modelcontextprotocol/node');
