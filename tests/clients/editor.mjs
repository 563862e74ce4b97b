// An editor without a window, on the connection library of VS Code: opens a document, edits it, and asks for its symbols
// again at each line on standard input. Usage: node editor.mjs LIBRARY-FOLDER OUTBOARD ARGUMENT…
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [library, command, ...args] = process.argv.slice(2);
const rpc = createRequire(import.meta.url)(`${library}/node.js`);
const server = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
const ended = new Promise((resolve) => server.on("exit", resolve));
ended.then((code) => console.log(`ended ${code}`));
const connection = rpc.createMessageConnection(
  new rpc.StreamMessageReader(server.stdout),
  new rpc.StreamMessageWriter(server.stdin),
);
const lost = [];
connection.onError(([error]) => lost.push(String(error)));
connection.onClose(() => lost.push("closed"));
connection.onUnhandledNotification(() => {});
connection.onNotification("window/showMessage", ({ type, message }) => console.log(`shown ${type} ${message}`));
connection.listen();

const opened = await connection.sendRequest("initialize", {
  processId: process.pid, clientInfo: { name: "editor" }, rootUri: null, workspaceFolders: null,
  capabilities: { textDocument: { documentSymbol: {} } },
});
await connection.sendNotification("initialized", {});
const uri = "file:///tmp/outboard-lsp/edited.sh";
await connection.sendNotification("textDocument/didOpen", {
  textDocument: { uri, languageId: "shellscript", version: 1, text: "first() {\n  echo żółć\n}\n" },
});
const symbols = async () => {
  const found = await connection.sendRequest("textDocument/documentSymbol", { textDocument: { uri } });
  return found.map((symbol) => symbol.name).join(" ");
};
console.log(`opened ${Object.keys(opened.capabilities).length > 0} ${await symbols()}`);
const names = ["second", "third", "fourth"];
let version = 1;
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "edit") {
    version += 1;
    await connection.sendNotification("textDocument/didChange", {
      textDocument: { uri, version },
      contentChanges: [{
        range: { start: { line: 0, character: 0 }, end: { line: 0, character: 0 } },
        text: `${names.shift()}() { :; }\n`,
      }],
    });
  } else if (line === "paste") {
    // More than its manifest lets through.
    version += 1;
    const text = `pasted() { :; }\n${"# much\n".repeat(20_000)}`;
    await connection.sendNotification("textDocument/didChange", { textDocument: { uri, version }, contentChanges: [{ text }] });
  } else if (line === "reopen") {
    await connection.sendNotification("textDocument/didClose", { textDocument: { uri } });
    await connection.sendNotification("textDocument/didOpen", {
      textDocument: { uri, languageId: "shellscript", version: 1, text: "anew() { :; }\n" },
    });
  } else if (line === "symbols") {
    console.log(`symbols ${await symbols()}`);
  } else break;
}
const errors = [...lost];
const shutdown = await connection.sendRequest("shutdown");
await connection.sendNotification("exit");
console.log(JSON.stringify({ shutdown, code: await ended, errors }));
process.exit(0);
