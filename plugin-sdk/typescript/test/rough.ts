/** A plugin that does what plugins should not; `process.test.ts` runs it. */

import { Plugin } from "../src/index.js";

import { execFileSync } from "node:child_process";
import { writeSync } from "node:fs";

console.log("before the plugin");
process.stdout.write("a stray chunk\n");

await new Plugin("rough", "1.0.0")
  .method("echo", (params) => params)
  .method("size", ({ text }) => text.length)
  .method("fail", () => {
    throw new RangeError("on purpose");
  })
  .method("prints", () => {
    console.warn("a %s print", "logged");
    process.stdout.write("another stray chunk\n");
    writeSync(1, "a stray write\n");
    execFileSync("sh", ["-c", "echo a stray child: $OUTBOARD_PROTOCOL."], { stdio: "inherit" });
    return "printed";
  })
  .method("forever", (_, { signal }) => {
    return new Promise((_, reject) =>
      signal.addEventListener("abort", () => reject(signal.reason)),
    );
  })
  .method("deaf", () => new Promise(() => setInterval(() => undefined, 60_000)))
  .onDrain(() => console.error("drained"))
  .onShutdown(() => process.stdout.write("farewell\n"))
  .run();
