/** The checks, against a host in memory and a server on this machine. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";

import { PluginError } from "outboard-plugin";
import { FakeHost } from "outboard-plugin/testing";

import { plugin } from "./webcheck.js";

let server: Server;
let base: string;
let broken = false;

before(async () => {
  server = createServer(({ url }, answer) => {
    if (url === "/silent") return;
    answer.statusCode = url === "/broken" || broken ? 500 : 200;
    answer.end("hello");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

after(() => {
  server.closeAllConnections();
  server.close();
});

test("each page has its verdict, and is told of", async () => {
  const host = await FakeHost.open(plugin);
  const call = host.start("check", { urls: [`${base}/`, `${base}/broken`, "http://127.0.0.1:1/"] });
  const verdicts = (await call.result()) as Record<string, unknown>[];
  assert.deepEqual(
    verdicts.map(({ up, status }) => [up, status]),
    [
      [true, 200],
      [false, 500],
      [false, undefined],
    ],
  );
  assert.match(verdicts[2].error as string, /ECONNREFUSED|bad port/);
  assert.deepEqual(
    call.progress.map(({ progress }) => progress),
    [1, 2, 3],
  );
  await host.close();
});

test("a page that never answers is down", async () => {
  const host = await FakeHost.open(plugin, { config: { timeout_ms: 50 } });
  const [verdict] = await host.call("check", { urls: [`${base}/silent`] });
  assert.deepEqual([verdict.up, verdict.error], [false, "no answer in 50 ms"]);
  await host.close();
});

test("a check is given up with its call", async () => {
  const host = await FakeHost.open(plugin, { config: { timeout_ms: 600_000 } });
  const call = host.start("check", { urls: [`${base}/silent`] });
  await host.ping();
  call.cancel();
  await assert.rejects(call.result(), ({ code }: PluginError) => code === -32800);
  await host.close();
});

test("what is no address is refused, in calls and in the configuration", async () => {
  const host = await FakeHost.open(plugin);
  for (const urls of [["ftp://x"], ["http://"], "http://x", undefined]) {
    await assert.rejects(host.call("check", { urls }), ({ code }: PluginError) => code === -32602);
  }
  await host.close();
  await assert.rejects(FakeHost.open(plugin, { config: { wach: [] } }), /wach is unknown/);
});

test("a watched page that goes down is an event, and makes the plugin degraded", async () => {
  const config = { watch: [`${base}/`], every_seconds: 1 };
  broken = true;
  const host = await FakeHost.open(plugin, { config });
  await host.waitFor(() => host.statuses.length === 1);
  assert.deepEqual([host.published[0].topic, host.statuses[0].state], ["web.down", "degraded"]);
  broken = false;
  await host.waitFor(() => host.statuses.length === 2);
  assert.deepEqual([host.published[1].topic, host.statuses[1].state], ["web.up", "ready"]);
  assert.equal(await host.changeConfig({ watch: [] }), true);
  await host.shutdown();
  await host.close();
});
