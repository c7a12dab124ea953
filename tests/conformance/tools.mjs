// The tools: their names, answers and schemas are the suite's, and the same as in `tools.py`.
//
// Not here: how a body asks or logs (`call.mjs`).

import { setTimeout as sleep } from 'node:timers/promises';

import {
  Call,
  answer,
  changes,
  elicitation,
  embedded,
  image,
  outcome,
  roots,
  sampling,
  text,
  textObject,
  watchers,
} from './call.mjs';
import { ProtocolError, ProtocolErrorCode, fromJsonSchema } from './sdk.mjs';

const WAV = Buffer.from(
  'RIFF\x26\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\x02\0\0\0\0\0',
  'latin1',
).toString('base64');
const NOTHING = { type: 'object', properties: {} };
const NAME = elicitation('What is your name?', textObject('name'));
const CONFIRMATION = { type: 'object', properties: { ok: { type: 'boolean' } }, required: ['ok'] };

const tools = new Map();

/** Offers the body as a tool. It returns content or a text. */
function tool(name, description, schema, body) {
  tools.set(name, { description, inputSchema: fromJsonSchema(schema), body });
}

tool('test_simple_text', 'Answers one text', NOTHING, () => 'This is a simple text response for testing.');

tool('test_image_content', 'Answers one image', NOTHING, () => [image]);

tool('test_audio_content', 'Answers one sound', NOTHING, () => [{ type: 'audio', data: WAV, mimeType: 'audio/wav' }]);

tool('test_embedded_resource', 'Answers one embedded resource', NOTHING, () => [
  embedded('test://embedded-resource', 'text/plain', 'This is an embedded resource content.'),
]);

tool('test_multiple_content_types', 'Answers a text, an image and a resource', NOTHING, () => [
  text('Multiple content types test:'),
  image,
  embedded('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
]);

tool('test_error_handling', 'Fails', NOTHING, () => {
  throw new Error('This tool intentionally returns an error for testing');
});

tool('test_tool_with_logging', 'Logs three times while it runs', NOTHING, async (call) => {
  for (const message of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
    await call.log(message);
    await sleep(50);
  }
  return 'logged';
});

tool('test_logging_tool', 'Logs only what the request asked to be logged', NOTHING, async (call) => {
  await call.log('Tool execution started');
  return 'logged';
});

tool('test_tool_with_progress', 'Reports progress three times', NOTHING, async (call) => {
  for (const progress of [0, 50, 100]) {
    await call.progress(progress, 100, `${progress} of 100`);
    await sleep(50);
  }
  return 'done';
});

tool(
  'test_reconnection',
  'Closes its stream before it answers, so that the client has to come back for the answer',
  NOTHING,
  async (call) => {
    call.context.http?.closeSSE?.();
    await sleep(100);
    return 'Reconnection test completed successfully';
  },
);

const askTheModel = async (call, prompt) => {
  const { completion } = await call.ask({ completion: sampling(prompt) });
  return `LLM response: ${completion.content.text}`;
};

tool('test_sampling', "Asks the client's model", textObject('prompt'), (call) => askTheModel(call, call.taken.prompt));

const elicited = ({ action, content }, prefix = 'Elicitation completed:') =>
  `${prefix} action=${action}, content=${JSON.stringify(content)}`;

tool('test_elicitation', 'Asks the user', textObject('message'), async (call) => {
  const { contact } = await call.ask({ contact: elicitation(call.taken.message, textObject('username', 'email')) });
  return elicited(contact, 'User response:');
});

tool(
  'test_elicitation_sep1034_defaults',
  'Asks for one value of every primitive type, each with a default',
  NOTHING,
  async (call) => {
    const properties = {
      name: { type: 'string', default: 'John Doe' },
      age: { type: 'integer', default: 30 },
      score: { type: 'number', default: 95.5 },
      status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
      verified: { type: 'boolean', default: true },
    };
    const schema = { type: 'object', properties, required: [] };
    const { user } = await call.ask({ user: elicitation('Please check these values', schema) });
    return elicited(user);
  },
);

tool('test_elicitation_sep1330_enums', 'Asks for one choice of every enumeration form', NOTHING, async (call) => {
  const options = ['option1', 'option2', 'option3'];
  const titled = [1, 2, 3].map((n) => ({ const: `value${n}`, title: `Option ${n}` }));
  const properties = {
    untitledSingle: { type: 'string', enum: options },
    titledSingle: { type: 'string', oneOf: titled },
    legacyEnum: { type: 'string', enum: ['opt1', 'opt2'], enumNames: ['Option One', 'Option Two'] },
    untitledMulti: { type: 'array', items: { type: 'string', enum: options } },
    titledMulti: { type: 'array', items: { anyOf: titled } },
  };
  const schema = { type: 'object', properties, required: [] };
  const { choices } = await call.ask({ choices: elicitation('Please choose', schema) });
  return elicited(choices);
});

tool('test_missing_capability', "Cannot run without the client's model", NOTHING, (call) =>
  askTheModel(call, 'Say hello'),
);

tool('test_streaming_elicitation', 'Reports progress, then asks the user', NOTHING, async (call) => {
  await call.progress(1, 2);
  const { user_name } = await call.ask({ user_name: NAME });
  return elicited(user_name);
});

tool('test_trigger_tool_change', 'Tells every listening client that the tool list changed', NOTHING, (call) => {
  changes.publish({ kind: 'tools_list_changed' });
  if (!call.modern) call.server.sendToolListChanged();
  return 'announced';
});

tool('test_trigger_prompt_change', 'Tells every listening client that the prompt list changed', NOTHING, (call) => {
  changes.publish({ kind: 'prompts_list_changed' });
  if (!call.modern) call.server.sendPromptListChanged();
  return 'announced';
});

tool(
  'test_trigger_resource_update',
  'Tells every subscriber that a resource changed',
  textObject('uri'),
  async ({ taken: { uri } }) => {
    changes.publish({ kind: 'resource_updated', uri });
    for (const { server } of watchers.get(uri) ?? []) await server.sendResourceUpdated({ uri });
    return 'announced';
  },
);

tool(
  'test_custom_header',
  'Answers the region, which HTTP clients must also send as a header',
  { type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' } }, required: ['region'] },
  (call) => call.taken.region,
);

tool(
  'json_schema_2020_12_tool',
  'Takes an argument described with the whole vocabulary of JSON Schema 2020-12',
  {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    $defs: {
      address: {
        $anchor: 'addressDef',
        type: 'object',
        properties: { street: { type: 'string' }, city: { type: 'string' } },
      },
    },
    properties: {
      name: { type: 'string' },
      address: { $ref: '#/$defs/address' },
      contactMethod: { type: 'string', enum: ['phone', 'email'] },
      phone: { type: 'string' },
      email: { type: 'string' },
    },
    allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
    if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
    then: { required: ['phone'] },
    else: { required: ['email'] },
    additionalProperties: false,
  },
  (call) => `arguments: ${Object.keys(call.taken).sort()}`,
);

tool('test_input_required_result_elicitation', 'Asks for a name', NOTHING, async (call) => {
  const { user_name } = await call.ask({ user_name: NAME });
  return `Hello, ${user_name.content?.name}!`;
});

tool('test_input_required_result_sampling', "Asks the client's model for a capital", NOTHING, async (call) => {
  const { capital_question } = await call.ask({ capital_question: sampling('What is the capital of France?') });
  return capital_question.content.text;
});

tool('test_input_required_result_list_roots', "Asks for the client's roots", NOTHING, async (call) => {
  const { client_roots } = await call.ask({ client_roots: roots() });
  return client_roots.roots.map(({ uri }) => uri).join(', ');
});

const confirmed = (state) => async (call) => {
  await call.ask({ confirm: elicitation('Please confirm', CONFIRMATION) }, state);
  return 'state-ok';
};

tool(
  'test_input_required_result_request_state',
  'Asks for a confirmation and wants its state back',
  NOTHING,
  confirmed('confirm'),
);

tool(
  'test_input_required_result_tampered_state',
  'Asks for a confirmation and refuses a state that was changed',
  NOTHING,
  confirmed('sealed'),
);

tool('test_input_required_result_multiple_inputs', 'Asks three things at once', NOTHING, async (call) => {
  const questions = { user_name: NAME, greeting: sampling('Generate a greeting', 50), client_roots: roots() };
  const { greeting, user_name } = await call.ask(questions, 'three');
  return `${greeting.content.text} ${user_name.content?.name}`;
});

tool(
  'test_input_required_result_multi_round',
  'Asks twice, the second time knowing the first answer',
  NOTHING,
  async (call) => {
    let name = call.state?.startsWith('name:') && call.state.slice('name:'.length);
    if (!name) {
      const first = { step1: elicitation('Step 1: What is your name?', textObject('name')) };
      name = (await call.ask(first, 'step1')).step1.content?.name;
    }
    const second = { step2: elicitation('Step 2: What is your favorite color?', textObject('color')) };
    const { step2 } = await call.ask(second, `name:${name}`);
    return `${name} likes ${step2.content?.color}`;
  },
);

tool(
  'test_input_required_result_capabilities',
  'Asks only what the client declared that it can answer',
  NOTHING,
  async (call) => {
    const questions = {
      user_name: ['elicitation', NAME],
      greeting: ['sampling', sampling('Generate a greeting')],
      client_roots: ['roots', roots()],
    };
    const can = Object.entries(questions).filter(([, [capability]]) => call.can(capability));
    const answers = await call.ask(Object.fromEntries(can.map(([key, [, question]]) => [key, question])));
    return `answered: ${Object.keys(answers).sort()}`;
  },
);

tool('greet', 'Greets, at once', textObject('name'), (call) => `Hello, ${call.taken.name}!`);

tool(
  'slow_compute',
  'Sleeps, then answers',
  {
    type: 'object',
    properties: { seconds: { type: 'number' }, label: { type: 'string' } },
    required: ['seconds'],
  },
  (call) =>
    call.inTask(async ({ taken: { seconds }, task, context }) => {
      await sleep(seconds * 1000, undefined, { signal: task?.stopping.signal ?? context.mcpReq.signal });
      return `slept for ${seconds} s`;
    }),
);

const failing = (failure) => (call) =>
  call.inTask(
    async () => {
      await sleep(200);
      throw failure;
    },
    { required: true },
  );

tool('failing_job', 'Fails, after a while, as a tool', NOTHING, failing(new Error('this job always fails')));

tool(
  'protocol_error_job',
  'Fails, after a while, as a server',
  NOTHING,
  failing(new ProtocolError(ProtocolErrorCode.InternalError, 'this job breaks the server')),
);

tool('confirm_delete', 'Asks for a confirmation before it deletes nothing', textObject('filename'), (call) =>
  call.inTask(async (call) => {
    const { confirm } = await call.ask({ confirm: elicitation(`Delete ${call.taken.filename}?`, CONFIRMATION) });
    return elicited(confirm, 'Confirmation:');
  }),
);

tool('multi_input', 'Asks two things that can be answered one by one', NOTHING, (call) =>
  call.inTask(async (call) => {
    const answers = await call.ask({ name: NAME, confirm: elicitation('Please confirm', CONFIRMATION) });
    return `answered: ${Object.keys(answers).sort()}`;
  }),
);

tool('test_tool_with_task', 'Asks for a name, then greets in a task', NOTHING, async (call) => {
  const { user_name } = await call.ask({ user_name: NAME });
  return call.inTask(() => `Hello, ${user_name.content?.name}!`, { required: true });
});

/** What a tool answers. A task is the extension's own kind of result; the rest is the protocol's. */
async function called(server, { name, arguments: given = {} }, context) {
  const tool = tools.get(name);
  if (!tool) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `unknown tool \`${name}\``);
  const body = async () => {
    const { value, issues } = await tool.inputSchema['~standard'].validate(given);
    if (issues) throw new Error(issues.map(({ message }) => message).join('; '));
    return tool.body(new Call(server, context, value));
  };
  const content = await answer(body, (error) => error);
  const isContent = typeof content === 'string' || Array.isArray(content) || content instanceof Error;
  return isContent ? outcome(content) : content;
}

/** Offers all of them. The SDK's own `tools/call` would make a result of every error, also of those of the protocol. */
export function register(server) {
  for (const [name, { description, inputSchema }] of tools) {
    server.registerTool(name, { description, inputSchema }, (given, context) =>
      called(server, { name, arguments: given }, context),
    );
  }
  server.server.setRequestHandler('tools/call', ({ params }, context) => called(server, params, context));
}
