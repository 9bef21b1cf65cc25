// Drives the vendor's TypeScript client: a call as JSON on each line of stdin, its result on each
// line of stdout. Usage: node drive.mjs DIRECTORY URL KEY APP
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [directory, serverURL, apiKey, app] = process.argv.slice(2);
const require = createRequire(resolve(directory, "package.json"));
const { OpenRouter } = await import(pathToFileURL(require.resolve("@openrouter/sdk")));

// What this client names otherwise than in camel case.
const NAMES = { x_open_router_title: "appTitle", x_open_router_categories: "appCategories" };
// The arguments that are fields of the body, and where the body goes.
const BODIES = {
  "workspaces.create": "createWorkspaceRequest",
  "workspaces.update": "updateWorkspaceRequest",
  "workspaces.set_budget": "upsertWorkspaceBudgetRequest",
  "workspaces.bulk_add_members": "bulkAddWorkspaceMembersRequest",
  "workspaces.bulk_remove_members": "bulkRemoveWorkspaceMembersRequest",
  "api_keys.create": "requestBody",
  "api_keys.update": "requestBody",
};
const PARAMETERS = ["id", "workspace_ref", "interval", "hash"];
const PAGED = ["files.list", "workspaces.list", "workspaces.list_members", "organization.list_members"];

const camel = (name) => NAMES[name] ?? name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase());
const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));

const options = Object.entries(JSON.parse(app)).map(([name, value]) => [camel(name), value]);
const plain = new OpenRouter({ apiKey, serverURL });
const attributed = new OpenRouter({ apiKey, serverURL, ...Object.fromEntries(options) });

function file([fileName, content, declared]) {
  if (declared) return new File([bytes(content.bytes)], fileName, { type: declared });
  if (content.bytes) return { fileName, content: bytes(content.bytes) };
  if (content.blob) return { fileName, content: new Blob([bytes(content.blob)]) };
  return { fileName, content: new Blob([bytes(content.stream)]).stream() };
}

const camelized = (value) =>
  value?.constructor === Object
    ? Object.fromEntries(Object.entries(value).map(([name, inner]) => [camel(name), inner]))
    : value;

function request(call, given) {
  const sent = {};
  const body = {};
  for (const [name, value] of Object.entries(given)) {
    const inBody = call in BODIES && !PARAMETERS.includes(name);
    if (name === "file") sent.requestBody = { file: file(value) };
    else (inBody ? body : sent)[camel(name)] = camelized(value);
  }
  return call in BODIES ? { ...sent, [BODIES[call]]: body } : sent;
}

function known(value) {
  if (value?.isUnknown) throw new TypeError(`unknown shape: ${JSON.stringify(value.raw)}`);
  return value;
}

async function carryOut({ call, attributed: named, arguments: { http_headers, ...given } }) {
  const [namespace, method] = call.split(".");
  const client = (named ? attributed : plain)[camel(namespace)];
  const result = await client[camel(method)](request(call, given), { headers: http_headers });
  if (method.startsWith("download")) return { size: (await new Response(result).arrayBuffer()).byteLength };
  if (!PAGED.includes(call)) return known(result);
  const pages = [];
  for await (const page of result) pages.push(known(page.result));
  return pages;
}

const renamed = (_, value) =>
  value && typeof value === "object" && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).map(([name, inner]) => [snake(name), inner]))
    : value;

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = { result: await carryOut(JSON.parse(line)) };
  } catch (error) {
    const refused = error.statusCode >= 400;
    answer = refused ? { refused: error.name } : { failed: `${error.name}: ${error.message}` };
  }
  console.log(JSON.stringify(answer, renamed));
}
