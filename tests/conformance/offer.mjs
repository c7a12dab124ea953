// The resources and prompts: their names, URIs and contents are the suite's. Tools are in `tools.mjs`.

import { Call, answer, elicitation, embedded, image, text, textObject, watchers } from './call.mjs';
import { ResourceTemplate, fromJsonSchema } from './sdk.mjs';

const TEXT_RESOURCES = {
  'test://static-text': 'This is the content of the static text resource.',
  'test://watched-resource': 'Watched resource content',
};
const COMPLETIONS = ['paris', 'park', 'party'];

const user = (content) => ({ role: 'user', content });

// Name → description, required arguments, body.
const PROMPTS = {
  test_simple_prompt: ['One text', [], () => [user(text('This is a simple prompt for testing.'))]],
  test_prompt_with_arguments: [
    'A text made of its arguments',
    ['arg1', 'arg2'],
    ({ taken: { arg1, arg2 } }) => [user(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`))],
  ],
  test_prompt_with_embedded_resource: [
    'A resource and a text',
    ['resourceUri'],
    ({ taken: { resourceUri } }) => [
      user(embedded(resourceUri, 'text/plain', 'Embedded resource content for testing.')),
      user(text('Please process the embedded resource above.')),
    ],
  ],
  test_prompt_with_image: [
    'An image and a text',
    [],
    () => [user(image), user(text('Please analyze the image above.'))],
  ],
  test_input_required_result_prompt: [
    'Asks the user for its context',
    [],
    async (call) => {
      const question = elicitation('What context should the prompt use?', textObject('context'));
      const { user_context } = await call.ask({ user_context: question });
      return [user(text(`Context: ${user_context.content?.context}`))];
    },
  ],
};

function registerPrompts(server) {
  for (const [name, [description, required, body]] of Object.entries(PROMPTS)) {
    const argsSchema = fromJsonSchema(textObject(...required));
    server.registerPrompt(name, { description, argsSchema }, (taken, context) => {
      const messages = async () => ({ messages: await body(new Call(server, context, taken)) });
      return answer(messages, (error) => {
        throw error;
      });
    });
  }
  server.server.setRequestHandler('completion/complete', ({ params }) => {
    const values = COMPLETIONS.filter((value) => value.startsWith(params.argument.value));
    return { completion: { values, total: values.length, hasMore: false } };
  });
}

function registerResources(server) {
  const offer = (name, mimeType, content) =>
    server.registerResource(name, `test://${name}`, { mimeType }, ({ href }) => ({
      contents: [{ uri: href, mimeType, ...content }],
    }));
  for (const [uri, value] of Object.entries(TEXT_RESOURCES)) {
    offer(uri.slice('test://'.length), 'text/plain', { text: value });
  }
  offer('static-binary', 'image/png', { blob: image.data });
  const template = new ResourceTemplate('test://template/{id}/data', { list: undefined });
  const mimeType = 'application/json';
  server.registerResource('template', template, { mimeType }, ({ href }, { id }) => ({
    contents: [{ uri: href, mimeType, text: `{"id":"${id}","templateTest":true,"data":"Data for ID: ${id}"}` }],
  }));
}

/** Legacy clients subscribe to one resource after another, for as long as their session lasts. */
function registerSubscriptions(server) {
  server.server.setRequestHandler('resources/subscribe', ({ params: { uri } }) => {
    watchers.set(uri, (watchers.get(uri) ?? new Set()).add(server));
    return {};
  });
  server.server.setRequestHandler('resources/unsubscribe', ({ params: { uri } }) => {
    watchers.get(uri)?.delete(server);
    return {};
  });
}

export function register(server) {
  registerPrompts(server);
  registerResources(server);
  registerSubscriptions(server);
}

/** Nothing more is told to this session. */
export function forget(server) {
  for (const servers of watchers.values()) servers.delete(server);
}
