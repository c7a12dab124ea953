// Keeps the suite's own mock servers on 127.0.0.1; it would bind them to every interface.
// Loaded with NODE_OPTIONS="--require …". Binding stays synchronous: the suite reads `address()` right after `listen()`.
const net = require('node:net');

const listen = net.Server.prototype.listen;
const everyInterface = (host) => !host || host === '0.0.0.0' || host === '::';

function listenOnLoopback(server, port, rest) {
  const callback = rest.find((argument) => typeof argument === 'function');
  const handle = net._createServerHandle('127.0.0.1', Number(port) || 0, 4, -1);
  // A number is the error of the operating system: let node report it its own way.
  if (typeof handle === 'number') return listen.call(server, { port, host: '127.0.0.1' }, callback);
  return callback ? listen.call(server, handle, callback) : listen.call(server, handle);
}

net.Server.prototype.listen = function (...args) {
  const [first, second] = args;
  if (args.length === 0 || typeof first === 'function') return listenOnLoopback(this, 0, args);
  if (typeof first === 'number' || (typeof first === 'string' && /^\d+$/.test(first))) {
    if (everyInterface(typeof second === 'string' ? second : '')) return listenOnLoopback(this, first, args.slice(1));
  } else if (first && typeof first === 'object' && 'port' in first && !first.path && first.fd === undefined) {
    if (everyInterface(first.host)) return listenOnLoopback(this, first.port, args.slice(1));
  }
  return listen.apply(this, args);
};
