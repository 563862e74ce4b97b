/** What `plugin-sdk/checks` holds against the protocol: a plugin that uses everything. */

import { setTimeout as sleep } from "node:timers/promises";

import { Plugin } from "../src/index.js";

function sum(value: unknown): { a: number; b: number } {
  const { a, b } = value as { a: unknown; b: unknown };
  if (!Number.isInteger(a) || !Number.isInteger(b)) throw new TypeError("a and b are integers");
  return { a: a as number, b: b as number };
}

await new Plugin("checked", "1.0.0")
  .method("echo", (params) => params)
  .method("add", { parse: sum, timeoutMs: 2000, params: { type: "object" } }, ({ a, b }) => a + b)
  .method("slow", (_, { signal }) => sleep(600_000, undefined, { signal }))
  .method("prints", () => {
    console.log("a stray print");
    process.stdout.write("a stray write\n");
    return "done";
  })
  .method("fails", () => {
    throw new Error("on purpose");
  })
  .method("deaf", () => new Promise(() => setInterval(() => undefined, 60_000)))
  .method("count", async ({ to = 0 }, call) => {
    for (let done = 1; done <= to; done += 1) {
      call.progress(done, to);
      await sleep(0);
    }
    return to;
  })
  .method("talks", async ({ to }, { host }) => {
    host.status("busy", "talking", { expectedMs: 1000 });
    host.publishNow("checked.whispered");
    await host.info();
    await host.call(to, "echo", { a: 1 });
    await host.call(to, "forbidden").catch(() => host.status("ready"));
    return host.publish("checked.said", { n: 1 });
  })
  .onEvent("checked.*", ({ topic }, host) => host.log("info", "heard", { topic }))
  .onConfig(() => undefined)
  .onDrain(() => undefined)
  .onShutdown(() => console.log("farewell"))
  .run();
