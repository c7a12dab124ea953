// The checks of the TypeScript clients, whichever SDK they are written on. The calls they make are in `calls.json`.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

export const CALLS = JSON.parse(readFileSync(new URL('calls.json', import.meta.url), 'utf8'));
const CALLS_AT_ONCE = 20;
const INVALID_PARAMS = -32602;
// A request that takes longer than this on loopback is stuck.
const CHECK_MS_MAX = 20_000;

// The SDKs are installed under the target folder, where an `import` from here does not look.
export const require = createRequire(`${process.env.PEERS}/node/package.json`);

export function expect(condition, message) {
  if (!condition) throw new Error(message);
}

/** Everything a list method has, page by page. */
async function pages(fetch, member) {
  const items = [];
  let cursor;
  do {
    const page = await fetch(cursor === undefined ? {} : { cursor });
    items.push(...page[member]);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return items;
}

async function lists(fetch, member, key, wanted) {
  const found = (await pages(fetch, member)).map((item) => item[key]);
  expect(found.includes(wanted), `${wanted} is not among ${found.slice(0, 20)}`);
  expect(new Set(found).size === found.length, 'an item is listed twice');
  return found.length;
}

export class Checks {
  failed = false;

  constructor(name) {
    this.name = name;
  }

  /** Runs one check and prints its line. */
  async check(what, body) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no answer in ${CHECK_MS_MAX} ms`)), CHECK_MS_MAX);
    });
    try {
      const detail = await Promise.race([body(), late]);
      console.log(`ok     ${this.name}: ${what}${detail === undefined ? '' : ` (${detail})`}`);
    } catch (error) {
      this.failed = true;
      console.log(`FAILED ${this.name}: ${what}: ${error.message ?? error}`);
    } finally {
      clearTimeout(timer);
    }
  }

  async all(client) {
    await this.check('lists all tools', () => lists((page) => client.listTools(page), 'tools', 'name', CALLS.tool));
    await this.check('lists all prompts', () =>
      lists((page) => client.listPrompts(page), 'prompts', 'name', CALLS.prompt),
    );
    await this.check('lists all resources', () =>
      lists((page) => client.listResources(page), 'resources', 'uri', CALLS.resource),
    );
    await this.check('calls a tool', async () => {
      const { content } = await client.callTool({ name: CALLS.tool, arguments: CALLS.arguments });
      expect(content[0].text === CALLS.sum, `got ${JSON.stringify(content)}`);
    });
    await this.check(`calls it ${CALLS_AT_ONCE} times at once`, async () => {
      const numbers = Array.from({ length: CALLS_AT_ONCE }, (_, n) => n);
      const results = await Promise.all(
        numbers.map((n) => client.callTool({ name: CALLS.tool, arguments: { a: n, b: 1000 } })),
      );
      const texts = results.map(({ content }) => content[0].text);
      expect(texts.every((text, n) => text === String(n + 1000)), `got ${texts}`);
    });
    await this.check('reads a resource', async () => {
      const { contents } = await client.readResource({ uri: CALLS.resource });
      expect(contents[0].uri === CALLS.resource, `asked for another URI: ${JSON.stringify(contents)}`);
      expect(contents[0].text.startsWith(CALLS.resource_text), `got ${JSON.stringify(contents)}`);
    });
    await this.check('gets a prompt', async () => {
      const { messages } = await client.getPrompt({ name: CALLS.prompt, arguments: CALLS.prompt_arguments });
      expect(messages[0].content.text.includes(CALLS.prompt_arguments.expression), `got ${JSON.stringify(messages)}`);
    });
    await this.check('is told of an unknown tool', async () => {
      const error = await client.callTool({ name: 'no_such_tool', arguments: {} }).then(
        (result) => expect(false, `got ${JSON.stringify(result)}`),
        (refusal) => refusal,
      );
      expect(error.code === INVALID_PARAMS, `the code is ${error.code}`);
    });
  }
}
