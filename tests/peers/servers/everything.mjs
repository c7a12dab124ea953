// server-everything, wherever the peers are installed. Usage: everything.mjs (stdio | sse | streamableHttp)

await import(`${process.env.PEERS}/node/node_modules/@modelcontextprotocol/server-everything/dist/index.js`);
