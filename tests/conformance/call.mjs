// One call in flight, and what it may do: answer with content, ask the client, log, continue as a task.
//
// Not here: what is offered (`tools.mjs`, `offer.mjs`), the life of a task (`tasks.mjs`). One body serves both eras: what
// `Call.ask` throws ends a modern call with `input_required`; for a legacy client the SDK asks by requests of its own, and
// then runs the body again.

import { randomBytes } from 'node:crypto';

import {
  CLIENT_CAPABILITIES_META_KEY,
  InMemoryServerEventBus,
  ProtocolError,
  createRequestStateCodec,
  inputRequired,
  inputResponse,
} from './sdk.mjs';
import * as tasks from './tasks.mjs';

const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=';

// Modern clients hear of changes through `subscriptions/listen`, which reads this.
export const changes = new InMemoryServerEventBus();
// Legacy clients: resource URI → the servers of the sessions that want to hear of it.
export const watchers = new Map();
// Seals every `requestState`, so that a changed one is refused before a tool sees it.
export const states = createRequestStateCodec({ key: randomBytes(32) });

export const text = (value) => ({ type: 'text', text: value });
export const image = { type: 'image', data: PNG, mimeType: 'image/png' };
export const embedded = (uri, mimeType, value) => ({ type: 'resource', resource: { uri, mimeType, text: value } });

/** What a tool returned or threw, as a result. */
export function outcome(content) {
  const isError = content instanceof Error;
  return { content: Array.isArray(content) ? content : [text(isError ? content.message : content)], isError };
}

/** The schema of an object whose members are required strings. */
export const textObject = (...required) => ({
  type: 'object',
  properties: Object.fromEntries(required.map((name) => [name, { type: 'string' }])),
  required,
});

export const elicitation = (message, requestedSchema) => inputRequired.elicit({ message, requestedSchema });
export const sampling = (prompt, maxTokens = 100) =>
  inputRequired.createMessage({ messages: [{ role: 'user', content: text(prompt) }], maxTokens });
export const roots = inputRequired.listRoots;

/** Ends a call with the questions that the client has to answer before it calls again. */
class InputRequired extends Error {
  constructor(result) {
    super('the client has to answer first');
    this.result = result;
  }
}

/** One tools/call or prompts/get in flight. */
export class Call {
  constructor(server, context, taken, task) {
    Object.assign(this, { server, context, taken, task });
  }

  get modern() {
    return this.context.mcpReq.envelope !== undefined;
  }

  get state() {
    return this.context.mcpReq.requestState();
  }

  can(capability) {
    const { envelope } = this.context.mcpReq;
    const declared = envelope ? envelope[CLIENT_CAPABILITIES_META_KEY] : this.server.server.getClientCapabilities();
    return declared?.[capability] !== undefined;
  }

  /** The client's answers by key. `state` comes back with them, or they do not count. */
  async ask(questions, state) {
    if (this.task) return this.task.ask(questions);
    const answers = this.context.mcpReq.inputResponses ?? {};
    const stale = state !== undefined && this.state !== state;
    const open = (key) => stale || inputResponse(answers, key).kind === 'missing';
    const inputRequests = Object.fromEntries(Object.entries(questions).filter(([key]) => open(key)));
    if (Object.keys(inputRequests).length === 0) return answers;
    const requestState = state === undefined ? undefined : await states.mint(state);
    throw new InputRequired(inputRequired({ inputRequests, requestState }));
  }

  /** Runs `work(call)` as a task if the client knows tasks, and else, unless `required`, before answering. */
  async inTask(work, { required = false } = {}) {
    if (!required && !tasks.declared(this.context)) return work(this);
    tasks.require(this.context);
    return tasks.start((task) => work(new Call(this.server, this.context, this.taken, task)), outcome);
  }

  async log(data) {
    await this.context.mcpReq.log('info', data, 'fixture');
  }

  async progress(progress, total, message) {
    const { progressToken } = this.context.mcpReq._meta ?? {};
    if (progressToken === undefined) return;
    const params = { progressToken, progress, total, message };
    await this.context.mcpReq.notify({ method: 'notifications/progress', params });
  }
}

/** What a body answers, or asks first; what it throws as a server stays an error, the rest becomes `refused(error)`. */
export async function answer(body, refused) {
  try {
    return await body();
  } catch (error) {
    if (error instanceof InputRequired) return error.result;
    if (error instanceof ProtocolError) throw error;
    return refused(error);
  }
}
