// The extension `io.modelcontextprotocol/tasks`: a tool hands its slow part to `inTask`, the client polls for it.
//
// Not here: the tools themselves (`tools.mjs`). The SDK has no tasks: it lets a server register their methods, and lets a
// `tools/call` answer with another type of result. A task that asks waits for `tasks/update`, where a call without a task
// ends with `input_required`.

import { randomUUID } from 'node:crypto';

import { CLIENT_CAPABILITIES_META_KEY, ProtocolError, ProtocolErrorCode, fromJsonSchema } from './sdk.mjs';

export const EXTENSION = 'io.modelcontextprotocol/tasks';
const TASKS_MAX = 1024;
const TTL_MS = 300_000;
const POLL_MS = 100;
const HEADER_MISMATCH = -32020;

const tasks = new Map();

export function declared(context) {
  return context.mcpReq.envelope?.[CLIENT_CAPABILITIES_META_KEY]?.extensions?.[EXTENSION] !== undefined;
}

export function require(context) {
  if (declared(context)) return;
  const data = { requiredCapabilities: { extensions: { [EXTENSION]: {} } } };
  const message = 'the client did not declare the tasks extension';
  throw new ProtocolError(ProtocolErrorCode.MissingRequiredClientCapability, message, data);
}

/** One piece of work and what the client may know about it. */
class Task {
  constructor() {
    this.id = randomUUID();
    this.created = this.updated = new Date().toISOString();
    this.status = 'working';
    this.outcome = {};
    this.questions = new Map();
    this.stopping = new AbortController();
  }

  become(status, outcome = {}) {
    if (['completed', 'failed', 'cancelled'].includes(this.status)) return;
    Object.assign(this, { status, outcome, updated: new Date().toISOString() });
  }

  /** Ends in exactly one of three states; a tool's own failure is a result like any other. */
  async run(work, asResult) {
    try {
      this.become('completed', { result: asResult(await work(this)) });
    } catch (error) {
      const { code, message } = error;
      if (error instanceof ProtocolError) this.become('failed', { error: { code, message } });
      else this.become('completed', { result: asResult(error) });
    }
  }

  cancel() {
    this.become('cancelled');
    this.stopping.abort();
  }

  async ask(questions) {
    const answered = Object.entries(questions).map(
      ([key, question]) => new Promise((resolve) => this.questions.set(key, { question, resolve })),
    );
    this.become('input_required');
    const answers = await Promise.all(answered);
    this.become('working');
    return Object.fromEntries(Object.keys(questions).map((key, at) => [key, answers[at]]));
  }

  /** An answer to nothing that is asked is ignored. */
  answer(key, value) {
    this.questions.get(key)?.resolve(value);
    this.questions.delete(key);
  }

  get summary() {
    return {
      taskId: this.id,
      status: this.status,
      createdAt: this.created,
      lastUpdatedAt: this.updated,
      ttlMs: TTL_MS,
      pollIntervalMs: POLL_MS,
    };
  }

  get detail() {
    const asked = [...this.questions].map(([key, { question }]) => [key, question]);
    return { ...this.summary, ...this.outcome, ...(asked.length > 0 && { inputRequests: Object.fromEntries(asked) }) };
  }
}

/** The answer of the tools/call that starts the task, which can already be polled when the client reads it. */
export function start(work, asResult) {
  if (tasks.size >= TASKS_MAX) {
    const [oldest] = tasks.values();
    tasks.delete(oldest.id);
    oldest.cancel();
  }
  const task = new Task();
  tasks.set(task.id, task);
  void task.run(work, asResult);
  return { resultType: 'task', ...task.summary };
}

function find(context, { taskId }) {
  require(context);
  const header = context.http ? context.http.req.headers.get('mcp-name') : taskId;
  if (header !== taskId) throw new ProtocolError(HEADER_MISMATCH, 'Mcp-Name does not match params.taskId');
  const task = tasks.get(taskId);
  if (!task) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `unknown task \`${taskId}\``);
  return task;
}

const taken = {
  params: fromJsonSchema({ type: 'object', properties: { taskId: { type: 'string' } }, required: ['taskId'] }),
};

/** Offers the extension. It is one of the modern era. */
export function register({ server }) {
  server.registerCapabilities({ extensions: { [EXTENSION]: {} } });
  server.setRequestHandler('tasks/get', taken, (params, context) => find(context, params).detail);
  server.setRequestHandler('tasks/update', taken, (params, context) => {
    const task = find(context, params);
    // The SDK takes them out of the parameters, as it does for a call that is made again.
    for (const [key, value] of Object.entries(context.mcpReq.inputResponses ?? {})) task.answer(key, value);
    return {};
  });
  server.setRequestHandler('tasks/cancel', taken, (params, context) => {
    find(context, params).cancel();
    return {};
  });
}
