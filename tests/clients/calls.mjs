// The MCP client of the TypeScript SDK: calls a tool until it is told to stop, and counts what came of it.
// Usage: node calls.mjs SDK-FOLDER OUTBOARD ARGUMENT… (a line on standard input ends it)
import { pathToFileURL } from "node:url";

const [sdk, command, ...args] = process.argv.slice(2);
const from = (file) => import(pathToFileURL(`${sdk}/dist/esm/client/${file}.js`).href);
const { Client } = await from("index");
const { StdioClientTransport } = await from("stdio");

const client = new Client({ name: "calls", version: "1" }, { capabilities: {} });
const counts = { asked: 0, answered: 0, typed: 0, untyped: [], notices: 0 };
client.fallbackNotificationHandler = async () => { counts.notices += 1; };
await client.connect(new StdioClientTransport({ command, args, env: process.env, stderr: "inherit" }));
let over = false;
process.stdin.once("data", () => { over = true; });
console.log("ready");
while (!over) {
  counts.asked += 1;
  try {
    const message = `hello ${counts.asked}`;
    const result = await client.callTool({ name: "echo", arguments: { message } });
    if (result.content[0].text !== `Echo: ${message}`) throw new Error(JSON.stringify(result));
    counts.answered += 1;
    if (counts.answered % 50 === 0) console.log(`answered ${counts.answered}`);
  } catch (error) {
    if (typeof error.code === "number" && error.code <= -31000 && error.code > -31100) counts.typed += 1;
    else counts.untyped.push(String(error));
  }
}
await client.listTools();
console.log(JSON.stringify(counts));
await client.close();
process.exit(0);
