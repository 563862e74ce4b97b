/** Plugins as processes: what only a real stdin, stdout and signal can show. */

import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, mkdtempSync, openSync, rmSync } from "node:fs";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROUGH = fileURLToPath(new URL("rough.js", import.meta.url));

/** Milliseconds. Generous: it only keeps a broken SDK from hanging the tests. */
const LONG = 30_000;

type Frame = Record<string, any>;

/** A pipe, as a supervisor makes them: between its own processes Node has sockets. */
function pipe(): { source: Socket; target: number } {
  const folder = mkdtempSync(join(tmpdir(), "outboard-"));
  const path = join(folder, "pipe");
  execFileSync("mkfifo", [path]);
  const source = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const target = openSync(path, constants.O_WRONLY);
  rmSync(folder, { recursive: true });
  return { source: new Socket({ fd: source, writable: false }), target };
}

interface Streams {
  stdout?: "pipe" | "socket";
  stderr?: "pipe" | "socket" | "null";
}

class Rough {
  readonly child: ChildProcess;
  readonly stdout: Readable;
  readonly logs: Frame[] = [];
  readonly errors: string[] = [];
  readonly exited: Promise<unknown[]>;
  #frames: Frame[] = [];
  #wake = (): void => undefined;
  #id = 0;

  constructor({ stdout = "pipe", stderr = "pipe" }: Streams) {
    const out = stdout === "pipe" ? pipe() : undefined;
    const err = stderr === "pipe" ? pipe() : undefined;
    const errors = stderr === "null" ? "ignore" : "pipe";
    this.child = spawn(process.execPath, [ROUGH], {
      env: { ...process.env, OUTBOARD_PROTOCOL: "1" },
      detached: true,
      stdio: ["pipe", out?.target ?? "pipe", err?.target ?? errors],
    });
    for (const end of [out, err]) if (end) closeSync(end.target);
    this.exited = once(this.child, "exit");
    this.stdout = out?.source ?? this.child.stdout!;
    createInterface({ input: this.stdout }).on("line", (line) => {
      const frame = JSON.parse(line) as Frame;
      (frame.method === "$/log" ? this.logs : this.#frames).push(frame);
      this.#wake();
    });
    const listen = err?.source ?? this.child.stderr;
    if (listen) {
      createInterface({ input: listen }).on("line", (line) => {
        this.errors.push(line);
        this.#wake();
      });
    }
    this.child.on("exit", () => this.#wake());
  }

  async open(): Promise<this> {
    const { result } = await this.ask("initialize", { protocolVersions: [1] });
    assert.equal(result.name, "rough");
    this.send({ method: "initialized" });
    return this;
  }

  send(frame: Frame): void {
    this.child.stdin!.write(`${JSON.stringify({ jsonrpc: "2.0", params: {}, ...frame })}\n`);
  }

  start(method: string, params: object = {}): number {
    this.#id += 1;
    this.send({ id: this.#id, method, params });
    return this.#id;
  }

  async until(so: () => boolean): Promise<void> {
    const begin = performance.now();
    while (!so()) {
      assert.ok(performance.now() - begin < LONG, this.errors.join("\n"));
      let timer: NodeJS.Timeout | undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        timer = setTimeout(resolve, LONG);
      });
      clearTimeout(timer);
    }
  }

  async frame(): Promise<Frame> {
    await this.until(() => this.#frames.length > 0);
    return this.#frames.shift()!;
  }

  async ask(method: string, params: object = {}): Promise<Frame> {
    const id = this.start(method, params);
    const frame = await this.frame();
    assert.equal(frame.id, id, JSON.stringify(frame));
    return frame;
  }

  says(words: string): Promise<void> {
    return this.until(() => this.errors.includes(words));
  }

  signal(name: NodeJS.Signals): void {
    process.kill(-this.child.pid!, name);
  }
}

/** Runs `body` and ends the plugin, whatever happened. */
async function rough(body: (plugin: Rough) => Promise<void>, streams: Streams = {}): Promise<void> {
  const plugin = new Rough(streams);
  try {
    await body(plugin);
  } finally {
    plugin.child.kill("SIGKILL");
    await plugin.exited;
  }
}

const how = { timeout: 2 * LONG };

for (const stderr of ["pipe", "socket", "null"] as const) {
  test(`prints stay off the wire when stderr is a ${stderr}`, how, () =>
    rough(
      async (plugin) => {
        await plugin.open();
        assert.equal((await plugin.ask("prints")).result, "printed");
        if (stderr === "pipe") {
          await plugin.says("a stray chunk");
          await plugin.says("another stray chunk");
          await plugin.says("a stray write");
          await plugin.says("a stray child: .");
        }
        await plugin.until(() => plugin.logs.length > 0);
        assert.deepEqual(
          plugin.logs.map(({ params }) => params),
          [{ level: "warn", message: "a logged print" }],
        );
        assert.deepEqual((await plugin.ask("ping")).result, {});
      },
      { stderr },
    ),
  );
}

test("where stdout is a socket, what prints through Node stays off the wire", how, () =>
  rough(
    async (plugin) => {
      await plugin.open();
      await plugin.says("a stray chunk");
      assert.equal((await plugin.ask("echo", { a: 1 })).result.a, 1);
      plugin.send({ method: "exit" });
      assert.deepEqual(await plugin.exited, [0, null]);
    },
    { stdout: "socket", stderr: "socket" },
  ),
);

test("a socket can carry the frames", how, async () => {
  const plugin = spawn(process.execPath, [ROUGH], {
    env: { ...process.env, OUTBOARD_PROTOCOL: "1", OUTBOARD_RPC_FD: "3" },
    stdio: ["ignore", "pipe", "ignore", "pipe"],
  });
  const exited = once(plugin, "exit");
  try {
    const frames = plugin.stdio[3] as Socket;
    frames.write('{"jsonrpc":"2.0","id":1,"method":"ping","params":{}}\n');
    let [got, printed] = ["", ""];
    plugin.stdout!.on("data", (data) => (printed += data));
    while (!got.includes("\n")) got += await new Promise((resolve) => frames.once("data", resolve));
    // What is printed before the opening comes first.
    assert.deepEqual(JSON.parse(got.trim().split("\n").at(-1)!).result, {});
    frames.end();
    assert.deepEqual(await exited, [0, null]);
    assert.match(printed, /a stray chunk\n/);
  } finally {
    plugin.kill("SIGKILL");
  }
});

test("a failure is an answer and the plugin lives on", how, () =>
  rough(async (plugin) => {
    await plugin.open();
    assert.deepEqual((await plugin.ask("fail")).error, {
      code: 1,
      message: "RangeError: on purpose",
      data: { class: "exception", type: "RangeError" },
    });
    assert.deepEqual((await plugin.ask("ping")).result, {});
  }),
);

test("what blocks for ever is cancelled and outlives no deadline", how, () =>
  rough(async (plugin) => {
    await plugin.open();
    const id = plugin.start("forever");
    assert.deepEqual((await plugin.ask("ping")).result, {});
    plugin.send({ method: "$/cancel", params: { id, reason: "caller" } });
    const cancelled = await plugin.frame();
    assert.deepEqual([cancelled.id, cancelled.error.code], [id, -32800]);
    const late = await plugin.ask("forever", { _meta: { deadlineMs: 30 } });
    assert.equal(late.error.code, -31002);
  }),
);

test("frames of eight mebibytes", how, () =>
  rough(async (plugin) => {
    const text = "x".repeat(8 << 20);
    await plugin.open();
    assert.equal((await plugin.ask("size", { text })).result, text.length);
    assert.deepEqual((await plugin.ask("echo", { text })).result, { text });
  }),
);

test("twenty thousand pings against a paused reader", how, () =>
  rough(async (plugin) => {
    await plugin.open();
    plugin.stdout.pause();
    const lines = Array.from({ length: 20_000 }, (_, n) => {
      return `{"jsonrpc":"2.0","id":${n + 100},"method":"ping","params":{}}\n`;
    });
    // All of it is taken although nothing is read yet.
    await new Promise((resolve) => plugin.child.stdin!.write(lines.join(""), resolve));
    plugin.stdout.resume();
    for (let n = 0; n < 20_000; n += 1) assert.equal((await plugin.frame()).id, n + 100);
  }),
);

test("drain, shutdown, exit", how, () =>
  rough(async (plugin) => {
    await plugin.open();
    assert.deepEqual((await plugin.ask("drain", { deadlineMs: 2000 })).result, {});
    assert.equal((await plugin.ask("echo")).error.code, -31008);
    assert.deepEqual((await plugin.ask("shutdown", { deadlineMs: 2000 })).result, {});
    await plugin.says("farewell");
    plugin.send({ method: "exit" });
    assert.deepEqual(await plugin.exited, [0, null]);
  }),
);

for (const method of ["", "forever", "deaf"]) {
  for (const end of ["exit", "the end of stdin", "SIGTERM"]) {
    const during = method ? `, with ${method} in progress` : "";
    test(`${end} is the end${during}`, how, () =>
      rough(async (plugin) => {
        await plugin.open();
        if (method) plugin.start(method);
        await plugin.ask("ping");
        if (end === "exit") plugin.send({ method: "exit" });
        else if (end === "SIGTERM") plugin.signal("SIGTERM");
        else plugin.child.stdin!.end();
        if (end !== "exit") await plugin.says("farewell");
        assert.deepEqual(await plugin.exited, [0, null]);
      }),
    );
  }
}

test("the end of stdin before the opening is the end", how, () =>
  rough(async (plugin) => {
    plugin.child.stdin!.end();
    assert.deepEqual(await plugin.exited, [0, null]);
  }),
);
