/** Whole sessions in memory, by the test kit that authors use. */

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "node:test";

import { currentCall, InvalidParams, Plugin, PluginError, type PluginEvent } from "../src/index.js";
import { FakeHost } from "../src/testing.js";

const TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/** Resolves when `open` is called. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

async function fails(work: Promise<unknown>): Promise<PluginError> {
  const error = await work.then(
    () => assert.fail("it did not fail"),
    (error: unknown) => error,
  );
  assert.ok(error instanceof PluginError, String(error));
  return error;
}

test("an echo and its opening", async () => {
  const plugin = new Plugin("echo", "1.2.3", { concurrency: 3, idempotencyKeys: true })
    .method("echo", (params) => params)
    .method(
      "add",
      { idempotent: true, timeoutMs: 2000, description: "Adds.", params: { type: "object" } },
      ({ a, b }) => a + b,
    );
  const host = await FakeHost.open(plugin);
  const params = { a: [1, null, "ż\u2028"] };
  assert.deepEqual(await host.call("echo", params), params);
  assert.equal(await host.call("add", { a: 2, b: 40 }), 42);
  assert.deepEqual(await host.ping(), {});
  await host.close();
  assert.deepEqual(host.opening, {
    protocolVersion: 1,
    name: "echo",
    version: "1.2.3",
    methods: {
      echo: {},
      add: {
        idempotent: true,
        timeoutMs: 2000,
        description: "Adds.",
        params: { type: "object" },
      },
    },
    events: [],
    subscribe: [],
    concurrency: 3,
    ready: true,
    supports: {
      drain: false,
      configReload: false,
      progress: true,
      cancel: true,
      idempotency: true,
      meta: true,
    },
  });
});

test("no common version is refused, and a second opening", async () => {
  const host = FakeHost.unopened(new Plugin("p"));
  assert.equal((await fails(host.call("x"))).code, -31009);
  assert.deepEqual(await host.ping(), {});
  const refused = await fails(host.request("initialize", { protocolVersions: [999] }));
  assert.deepEqual([refused.code, refused.data], [-31010, { supported: [1] }]);
  const opening = { protocolVersions: [999, 1], future: [] };
  assert.equal((await host.request("initialize", opening)).protocolVersion, 1);
  assert.equal((await fails(host.request("initialize", opening))).code, -32600);
  await host.close();
});

test("the configuration is read first, and may refuse the start", async () => {
  const config = (value: unknown): { unit: string } => {
    const { unit } = value as { unit?: unknown };
    if (typeof unit !== "string") throw new TypeError("unit is missing");
    return { unit };
  };
  const plugin = new Plugin("p", "1", { config });
  await (await FakeHost.open(plugin, { config: { unit: "m" } })).close();
  assert.equal(plugin.config.unit, "m");
  const wrong = await fails(FakeHost.open(new Plugin("p", "1", { config })));
  assert.equal(wrong.code, -32602);
  assert.match(wrong.message, /the manifest's \[config\] is wrong: TypeError: unit is missing/);
  const hook = new Plugin("p").onStart(() => {
    throw new PluginError("no disk", { code: 4 });
  });
  assert.equal((await fails(FakeHost.open(hook))).code, 4);
});

test("new configuration is taken or left", async () => {
  const plugin = new Plugin<{ unit: string }>("p", "1", {
    config: (value) => {
      if (typeof (value as { unit: unknown }).unit !== "string") throw new TypeError("no unit");
      return value as { unit: string };
    },
  });
  plugin.onConfig(() => plugin.config.unit === "ft");
  const host = await FakeHost.open(plugin, { config: { unit: "m" } });
  assert.equal(host.opening.supports.configReload, true);
  assert.equal(await host.changeConfig({ unit: "ft" }), true);
  assert.equal(await host.changeConfig({ unit: "m" }), false);
  assert.equal((await fails(host.changeConfig({ unit: 7 }))).code, -32602);
  assert.equal(plugin.config.unit, "ft");
  await host.close();
  const without = await FakeHost.open(new Plugin("q"));
  assert.equal((await fails(without.changeConfig({}))).code, -32601);
  await without.close();
});

test("failures are typed, and the stack stays in the log", async () => {
  const plugin = new Plugin("p")
    .method("own", () => {
      throw new PluginError("out of ink", { code: 9, data: { tray: 2 } });
    })
    .method("params", { parse: () => assert.fail("no such tray") }, () => 1)
    .method("foreign", async () => {
      await sleep(1);
      throw new RangeError("too far");
    })
    .method("text", () => {
      throw "just a text";
    })
    .method("circle", () => {
      const circle: Record<string, unknown> = {};
      return (circle.self = circle);
    })
    .method("nothing", () => undefined)
    .method("invalid", () => {
      throw new InvalidParams("no");
    });
  const host = await FakeHost.open(plugin);
  const own = await fails(host.call("own"));
  assert.deepEqual([own.code, own.message, own.data], [9, "out of ink", { tray: 2 }]);
  const params = await fails(host.call("params"));
  assert.equal(params.code, -32602);
  assert.match(params.message, /no such tray/);
  const foreign = await fails(host.call("foreign"));
  assert.deepEqual([foreign.code, foreign.message], [1, "RangeError: too far"]);
  assert.deepEqual(foreign.data, { class: "exception", type: "RangeError" });
  assert.equal((await fails(host.call("text"))).message, "just a text");
  assert.match((await fails(host.call("circle"))).message, /circular/);
  assert.equal(await host.call("nothing"), null);
  assert.equal((await fails(host.call("invalid"))).code, -32602);
  assert.equal((await fails(host.call("no/such"))).code, -32601);
  assert.deepEqual(await host.ping(), {});
  await host.close();
  const logged = host.logs.filter(({ message }) => message.startsWith("foreign failed"));
  assert.equal(logged.length, 1);
  assert.match(logged[0].message, /RangeError: too far\n +at .*session\.test/);
});

test("a stack is on the wire when asked for", async () => {
  const plugin = new Plugin("p", "1", { stacks: true }).method("fail", () => {
    throw new Error("x");
  });
  const host = await FakeHost.open(plugin);
  const { data } = await fails(host.call("fail"));
  assert.match((data as { stack: string }).stack, /session\.test/);
  await host.close();
});

test("a signal cancels, also a call that waits", async () => {
  const running = gate();
  const plugin = new Plugin("p", "1", { concurrency: 1 }).method("forever", (_, { signal }) => {
    running.open();
    return sleep(60_000, undefined, { signal });
  });
  const host = await FakeHost.open(plugin);
  const first = host.start("forever");
  await running.opened;
  const waiting = host.start("forever");
  await host.ping();
  waiting.cancel();
  assert.equal((await fails(waiting.result())).code, -32800);
  assert.equal(first.done, false);
  const stop = new AbortController();
  const third = host.call("forever", {}, { signal: stop.signal });
  first.cancel();
  assert.equal((await fails(first.result())).code, -32800);
  stop.abort();
  assert.equal((await fails(third)).code, -32800);
  host.notify("$/cancel", { id: first.id });
  host.notify("$/cancel", { id: 12345 });
  await host.ping();
  await host.close();
});

test("a handler that takes no notice of its signal is answered for", async () => {
  const plugin = new Plugin("p").method("deaf", () => new Promise(() => undefined));
  const host = await FakeHost.open(plugin);
  const call = host.start("deaf");
  await host.ping();
  call.cancel();
  assert.equal((await fails(call.result())).code, -32800);
  assert.match(host.logs[0].message, /deaf takes no notice of its signal/);
  await host.close();
});

test("what a handler makes of its cancellation is the answer", async () => {
  const plugin = new Plugin("p")
    .method("partial", async (_, { signal }) => {
      await sleep(60_000, undefined, { signal }).catch(() => undefined);
      return "half";
    })
    .method("own", async (_, { signal }) => {
      await sleep(60_000, undefined, { signal }).catch(() => undefined);
      throw new PluginError("rolled back", { code: 7 });
    });
  const host = await FakeHost.open(plugin);
  const [partial, own] = [host.start("partial"), host.start("own")];
  await host.ping();
  partial.cancel();
  own.cancel();
  assert.equal(await partial.result(), "half");
  assert.equal((await fails(own.result())).code, 7);
  await host.close();
});

test("a deadline ends a call", async () => {
  const seen: unknown[] = [];
  const plugin = new Plugin("p")
    .method("slow", (_, call) => {
      seen.push(call.caller, call.attempt, call.method, currentCall() === call);
      const left = call.remaining() ?? 0;
      assert.ok(left > 0 && left <= 50);
      return sleep(60_000, undefined, { signal: call.signal });
    })
    .method("free", (_, call) => call.remaining() ?? "none");
  const host = await FakeHost.open(plugin);
  assert.equal((await fails(host.call("slow", {}, { deadlineMs: 50 }))).code, -31002);
  assert.deepEqual(seen, ["test", 1, "slow", true]);
  assert.equal(await host.call("free"), "none");
  await host.close();
});

test("progress rises and ends with the call", async () => {
  let late = (): void => undefined;
  const plugin = new Plugin("p").method("work", (_, call) => {
    for (const done of [1, 2, 2, 1, 3]) call.progress(done, 3, "reading");
    late = () => call.progress(4);
  });
  const host = await FakeHost.open(plugin);
  const call = host.start("work");
  await call.result();
  late();
  await host.ping();
  assert.deepEqual(
    call.progress.map(({ progress }) => progress),
    [1, 2, 3],
  );
  assert.deepEqual([call.progress[0].total, call.progress[0].message], [3, "reading"]);
  const quiet = host.start("work", {}, { meta: { progressToken: null } });
  await quiet.result();
  assert.deepEqual(quiet.progress, []);
  await host.close();
});

test("calls to other plugins are part of the call", async () => {
  const plugin = new Plugin("p")
    .method("get", ({ key }, { host }) => host.call("kv", "get", { key }))
    .method("info", (_, { host }) => host.info());
  const host = await FakeHost.open(plugin);
  host.provide("kv", "get", ({ key }) => {
    if (key === "a") return "b";
    throw new PluginError("no such key", { code: 5, data: { retryable: true, class: "x" } });
  });
  const options = { deadlineMs: 5000, meta: { traceparent: TRACE } };
  assert.equal(await host.call("get", { key: "a" }, options), "b");
  const [sent] = host.called;
  assert.deepEqual([sent.params, sent._meta], [{ key: "a" }, { traceparent: TRACE }]);
  assert.ok(sent.timeoutMs > 0 && sent.timeoutMs <= 5000);
  const error = await fails(host.call("get", { key: "z" }));
  assert.deepEqual([error.code, error.message], [5, "no such key"]);
  assert.deepEqual([error.retryable, error.errorClass], [true, "x"]);
  assert.equal((await host.call("info")).hostInfo.name, "fake");
  await host.close();
  assert.equal((await fails(plugin.host.call("kv", "get"))).code, -31009);
});

test("a call to another plugin is given up with its own", async () => {
  const asked = gate();
  const plugin = new Plugin("p").method("ask", (_, { host }) => host.call("kv", "never"));
  const host = await FakeHost.open(plugin);
  host.provide("kv", "never", () => {
    asked.open();
    return new Promise(() => undefined);
  });
  const call = host.start("ask");
  await asked.opened;
  call.cancel();
  assert.equal((await fails(call.result())).code, -32800);
  const left = host.start("ask");
  await host.ping();
  await host.close();
  assert.equal(left.done, true);
});

test("events come in order and go out", async () => {
  const seen: PluginEvent[] = [];
  const plugin = new Plugin("p")
    .publishes("geo.updated")
    .onEvent("net.*", async (event) => {
      await sleep(1);
      seen.push(event);
      if (event.topic === "net.bad") throw new Error("bad");
    })
    .onEvent("exact", (event) => seen.push(event))
    .method("tell", (_, { host }) => {
      host.publishNow("geo.quick", 1);
      return host.publish("geo.updated", { rows: 2 });
    });
  const host = await FakeHost.open(plugin);
  assert.deepEqual(
    [host.opening.subscribe, host.opening.events],
    [["net.*", "exact"], ["geo.updated"]],
  );
  for (const topic of ["net.up", "other", "net.bad", "exact"]) {
    host.emit(topic, { if: "eth0" }, { missed: 2 });
  }
  assert.equal(await host.call("tell"), 1);
  plugin.host.log("info", "so that the host looks");
  await host.waitFor(() => host.logs.some(({ message }) => message.includes("net.bad failed")));
  while (seen.length < 3) await sleep(1);
  assert.deepEqual(
    seen.map(({ topic, seq, missed }) => [topic, seq, missed]),
    [
      ["net.up", 1, 2],
      ["net.bad", 3, 2],
      ["exact", 4, 2],
    ],
  );
  assert.deepEqual(
    host.published.map(({ topic }) => topic),
    ["geo.quick", "geo.updated"],
  );
  await host.close();
});

test("a status is told and kept for probes", async () => {
  const plugin = new Plugin("p", "1", { ready: false });
  const host = await FakeHost.open(plugin);
  assert.equal(host.opening.ready, false);
  plugin.host.status("busy", "compacting", { expectedMs: 2000 });
  const busy = { state: "busy", message: "compacting", expectedMs: 2000 };
  assert.deepEqual(await host.ping(), busy);
  plugin.host.status("ready");
  assert.deepEqual(await host.ping(), {});
  assert.deepEqual(host.statuses, [busy, { state: "ready" }]);
  await host.close();
});

test("a drain waits for calls and refuses new ones", async () => {
  const { opened, open } = gate();
  const order: string[] = [];
  const plugin = new Plugin("p")
    .method("slow", async () => {
      await opened;
      order.push("call");
      return "done";
    })
    .onDrain(() => order.push("drain"));
  const host = await FakeHost.open(plugin);
  assert.equal(host.opening.supports.drain, true);
  const call = host.start("slow");
  assert.equal((await fails(host.drain(10))).code, -31002);
  assert.equal((await fails(host.call("slow"))).code, -31008);
  open();
  await host.drain();
  assert.equal(await call.result(), "done");
  assert.deepEqual(order, ["call", "drain"]);
  await host.close();
});

test("a shutdown runs its hooks once and refuses calls", async () => {
  const ran: string[] = [];
  const plugin = new Plugin("p")
    .method("echo", (params) => params)
    .onShutdown(() => {
      ran.push("first");
      throw new Error("half done");
    })
    .onShutdown(async () => {
      await sleep(1);
      ran.push("second");
    });
  const host = await FakeHost.open(plugin);
  await host.shutdown();
  assert.deepEqual(ran, ["first", "second"]);
  assert.equal((await fails(host.call("echo"))).code, -31008);
  await host.shutdown();
  host.notify("exit");
  await host.close();
  assert.deepEqual(ran, ["first", "second"]);
});

test("the end waits for hooks that run already", async () => {
  let ended = false;
  const plugin = new Plugin("p").onShutdown(async () => {
    await sleep(50);
    ended = true;
  });
  const host = await FakeHost.open(plugin);
  const asked = host.shutdown();
  await host.ping();
  await host.close();
  assert.equal(ended, true);
  await asked;
});

test("an error of any size is one call's", async () => {
  const plugin = new Plugin("p").method("huge", () => {
    throw new Error("x".repeat(17 << 20));
  });
  const host = await FakeHost.open(plugin);
  assert.equal((await fails(host.call("huge"))).code, 1);
  await host.ping();
  await host.close();
});

test("the end of stdin lets calls finish", async () => {
  let ended = false;
  const plugin = new Plugin("p")
    .method("slow", () => sleep(30, "done"))
    .onShutdown(() => (ended = true));
  const host = await FakeHost.open(plugin);
  const call = host.start("slow");
  await host.close();
  assert.equal(await call.result(), "done");
  assert.equal(ended, true);
});

test("no more than the concurrency run at once", async () => {
  let [running, peak] = [0, 0];
  const plugin = new Plugin("p", "1", { concurrency: 2 }).method("work", async () => {
    peak = Math.max(peak, ++running);
    await sleep(1);
    running -= 1;
  });
  const host = await FakeHost.open(plugin);
  await Promise.all(Array.from({ length: 20 }, () => host.call("work")));
  assert.equal(peak, 2);
  await host.close();
});

test("more than a host should send is refused", async () => {
  const plugin = new Plugin("p", "1", { concurrency: 1 }).method("forever", (_, { signal }) =>
    sleep(60_000, undefined, { signal }),
  );
  const host = await FakeHost.open(plugin);
  const calls = Array.from({ length: 1026 }, () => host.start("forever"));
  assert.equal((await fails(calls[1025].result())).code, -31004);
  calls.pop();
  assert.ok(calls.every(({ done }) => !done));
  for (const call of calls) call.cancel();
  for (const call of calls) await fails(call.result());
  await host.close();
});

test("what wants no answer gets none", async () => {
  const host = await FakeHost.open(new Plugin("p"));
  for (const line of [
    "not json",
    "[]",
    "",
    '{"jsonrpc":"2.0","id":77,"result":{}}',
    '{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}',
    '{"jsonrpc":"2.0","method":"no/such"}',
    '{"jsonrpc":"2.0","method":"event","params":{"topic":"x"}}',
    '{"level":"info","id":3}',
  ]) {
    host.send(line);
  }
  assert.deepEqual(await host.ping(), {});
  assert.deepEqual(
    host.logs.map(({ level }) => level),
    ["warn"],
  );
  await host.close();
});

test("a result beyond the host's limits is an error", async () => {
  const plugin = new Plugin("p")
    .method("big", () => "x".repeat(70_000))
    .method("deep", () => JSON.parse("[".repeat(200) + "]".repeat(200)));
  const host = await FakeHost.open(plugin, { limits: { maxFrameBytes: 65536, maxDepth: 128 } });
  assert.equal((await fails(host.call("big"))).code, -31005);
  assert.equal((await fails(host.call("deep"))).code, -31005);
  await host.close();
});

test("a request that cannot be read is answered where it says who asks", async () => {
  const host = await FakeHost.open(new Plugin("p").method("echo", (params) => params));
  assert.equal((await fails(host.call("echo", 7))).code, -32600);
  const deep = JSON.parse("[".repeat(200) + "]".repeat(200));
  assert.equal((await fails(host.call("echo", { deep }))).code, -31005);
  await host.close();
});

test("names of the protocol are not a plugin's", () => {
  for (const name of ["ping", "exit", "host/call", "$/x", "config/changed", "", "a b", "é"]) {
    assert.throws(() => new Plugin("p").method(name, () => 1), RangeError, name);
  }
  assert.throws(() => new Plugin("p").method("a", () => 1).method("a", () => 1), /twice/);
  assert.throws(() => new Plugin("p", "1", { concurrency: 0 }), RangeError);
});

test("the kit tells what is against the protocol", async () => {
  const plugin = new Plugin("p").method("bad", (_, { host }) =>
    host.outlet.notify("$/progress", { token: "nobody", progress: 1 }),
  );
  const host = await FakeHost.open(plugin);
  await host.call("bad");
  await assert.rejects(host.close(), /progress that nobody asked for/);
});
