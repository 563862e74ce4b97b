/** Without a process: the plugin against a host in memory. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { FakeHost } from "outboard-plugin/testing";

import { plugin } from "./plugin.js";

test("it greets", async () => {
  const host = await FakeHost.open(plugin(), { config: { greeting: "good morning" } });
  assert.equal(await host.call("greet", { name: "Ada" }), "good morning, Ada");
  await assert.rejects(host.call("greet", {}), { code: -32602 });
  await host.close();
});
