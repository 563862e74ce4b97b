/**
 * A host in memory, for unit tests: no process, no supervisor, real frames.
 *
 * ```ts
 * test("echo", async () => {
 *   await using host = await FakeHost.open(plugin);
 *   assert.deepEqual(await host.call("echo", { a: 1 }), { a: 1 });
 * });
 * ```
 *
 * Where `await using` is not to be had, call `close` at the end. The host checks what the plugin writes: a frame that
 * is no message, a second answer, or progress that nobody asked for makes `close` throw.
 *
 * @packageDocumentation
 */

import { PassThrough, Writable } from "node:stream";

import { code, PluginError } from "./errors.js";
import { Framer } from "./frames.js";
import { decode, type Message, type RemoteError } from "./messages.js";
import type { Plugin } from "./plugin.js";
import type { Id } from "./salvage.js";
import { serve } from "./serve.js";

type Params = Record<string, any>;

export interface FakeHostOptions {
  /** The manifest's `[config]`. */
  config?: unknown;
  capabilities?: Params;
  limits?: { maxFrameBytes?: number; maxDepth?: number; maxHostFrameBytes?: number };
  /** Milliseconds that each wait may last before the test fails (10000); nothing is slow for it. */
  timeoutMs?: number;
}

export interface TestCallOptions {
  deadlineMs?: number;
  /** Goes over what is in `_meta` already. */
  meta?: Params;
  /** Sends `$/cancel` when it is aborted. */
  signal?: AbortSignal;
}

/** A call that was sent. */
export interface Pending {
  readonly id: number;
  /** What the call told of its progress, in order. */
  readonly progress: Params[];
  readonly done: boolean;
  cancel(reason?: string): void;
  /** Rejects with a {@link PluginError} if the answer is an error. */
  result(): Promise<any>;
}

class Sent implements Pending {
  readonly progress: Params[] = [];
  answer: { result?: unknown; error?: RemoteError } | undefined;

  constructor(
    readonly id: number,
    readonly token: string,
    private readonly host: FakeHost,
  ) {}

  get done(): boolean {
    return this.answer !== undefined;
  }

  cancel(reason = "caller"): void {
    this.host.notify("$/cancel", { id: this.id, reason });
  }

  async result(): Promise<any> {
    await this.host.waitFor(() => this.done, `call ${this.id} to be answered`);
    const { result, error } = this.answer ?? {};
    if (error) throw new PluginError(error.message, error);
    return result;
  }
}

export class FakeHost {
  /** The result of `initialize`. */
  opening: Params = {};
  /** The params of `$/log`, `$/status`, `host/publish` and `host/call`, in order. */
  readonly logs: Params[] = [];
  readonly statuses: Params[] = [];
  readonly published: Params[] = [];
  readonly called: Params[] = [];
  /** What the plugin did against the protocol. */
  readonly violations: string[] = [];
  readonly #input = new PassThrough();
  readonly #framer = new Framer();
  readonly #pending = new Map<Id, Sent>();
  readonly #others = new Map<string, (params: any) => unknown>();
  readonly #timeoutMs: number;
  readonly #ended: Promise<void>;
  readonly #news = new Set<() => void>();
  #over = false;
  #lastId = 0;
  #seq = 0;

  private constructor(plugin: Plugin, options: FakeHostOptions) {
    this.#timeoutMs = options.timeoutMs ?? 10_000;
    const output = new Writable({
      write: (data: Buffer, _, done) => {
        this.#read(data);
        done();
      },
    });
    this.#ended = serve(plugin, { input: this.#input, output }).finally(() => {
      this.#over = true;
      this.#tell();
    });
  }

  /** Opens `plugin`. Rejects with a {@link PluginError} if it refuses. */
  static async open(plugin: Plugin, options: FakeHostOptions = {}): Promise<FakeHost> {
    const host = FakeHost.unopened(plugin, options);
    try {
      host.opening = await host.request("initialize", {
        protocolVersions: [1],
        hostInfo: { name: "fake", version: "0" },
        plugin: { id: plugin.name, instance: `${plugin.name}-0`, generation: 1 },
        config: options.config ?? {},
        capabilities: options.capabilities ?? { call: ["*"], publish: ["*"], events: true },
        limits: options.limits ?? {},
      });
    } catch (error) {
      await host.close();
      throw error;
    }
    host.notify("initialized");
    return host;
  }

  /** A host that has said nothing yet. */
  static unopened(plugin: Plugin, options: FakeHostOptions = {}): FakeHost {
    return new FakeHost(plugin, options);
  }

  /** Closes the plugin's stdin, waits for its end, and throws if it broke the protocol. */
  async close(): Promise<void> {
    this.#input.end();
    await this.waitFor(() => this.#over, "the end of the plugin");
    await this.#ended;
    if (this.violations.length > 0) throw new Error(this.violations.join("\n"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Sends a call and does not wait. */
  start(method: string, params: unknown = {}, options: TestCallOptions = {}): Pending {
    const token = `t${this.#lastId + 1}`;
    const meta = { caller: "test", progressToken: token, deadlineMs: options.deadlineMs };
    const isObject = typeof params === "object" && params !== null && !Array.isArray(params);
    const body = isObject ? { ...params, _meta: { ...meta, ...options.meta } } : params;
    const sent = this.#send(method, body, token);
    options.signal?.addEventListener("abort", () => sent.cancel(), { once: true });
    return sent;
  }

  /** Calls a method and gives its result. Rejects with a {@link PluginError} if it is answered with an error. */
  async call(method: string, params: unknown = {}, options: TestCallOptions = {}): Promise<any> {
    return this.start(method, params, options).result();
  }

  /** Sends one of the protocol's own requests, and waits for its answer. */
  async request(method: string, params: object = {}): Promise<any> {
    return this.#send(method, params, "").result();
  }

  notify(method: string, params: object = {}): void {
    this.send(JSON.stringify({ jsonrpc: "2.0", method, params }));
  }

  ping(): Promise<any> {
    return this.request("ping");
  }

  /** Delivers an event. */
  emit(
    topic: string,
    data: unknown = null,
    options: { source?: string; missed?: number } = {},
  ): void {
    this.#seq += 1;
    const { source = "test", missed = 0 } = options;
    this.notify("event", { topic, seq: this.#seq, source, timeMs: Date.now(), missed, data });
  }

  /** Gives whether the plugin took it. Rejects if it refused. */
  async changeConfig(config: unknown): Promise<boolean> {
    return (await this.request("config/changed", { config, revision: 2 })).applied === true;
  }

  async drain(deadlineMs = 5000): Promise<void> {
    await this.request("drain", { deadlineMs });
  }

  async shutdown(reason = "stop", deadlineMs = 5000): Promise<void> {
    await this.request("shutdown", { reason, deadlineMs });
  }

  /** Answers the plugin's own calls of another one. What `act` throws is the answer too. */
  provide(plugin: string, method: string, act: (params: any) => unknown): void {
    this.#others.set(`${plugin}.${method}`, act);
  }

  /** A line as it is. */
  send(line: string): void {
    this.#input.write(`${line}\n`);
  }

  /** Waits until something is so; looks each time when the plugin has said something. */
  async waitFor(until: () => boolean, what = "it"): Promise<void> {
    if (until()) return;
    await new Promise<void>((resolve, reject) => {
      const settle = (error?: Error): void => {
        clearTimeout(timer);
        this.#news.delete(look);
        if (error) reject(error);
        else resolve();
      };
      const look = (): void => {
        if (until()) settle();
        else if (this.#over) settle(new Error(`waited for ${what}; the plugin has ended`));
      };
      const late = new Error(`waited for ${what}; nothing came in ${this.#timeoutMs} ms`);
      const timer = setTimeout(() => settle(late), this.#timeoutMs);
      this.#news.add(look);
      look();
    });
  }

  #tell(): void {
    for (const look of this.#news) look();
  }

  #send(method: string, params: unknown, token: string): Sent {
    this.#lastId += 1;
    const sent = new Sent(this.#lastId, token, this);
    this.#pending.set(sent.id, sent);
    this.send(JSON.stringify({ jsonrpc: "2.0", id: sent.id, method, params }));
    return sent;
  }

  #read(data: Buffer): void {
    for (const item of this.#framer.feed(data)) {
      if ("frame" in item) this.#take(decode(item.frame));
      else this.violations.push(`not a frame: ${JSON.stringify(item)}`);
    }
    this.#tell();
  }

  #take(message: Message): void {
    if (message.kind === "response") {
      const sent = this.#pending.get(message.id);
      if (!sent || sent.done) {
        this.violations.push(`an answer that nobody waits for: ${JSON.stringify(message)}`);
      } else {
        sent.answer = message;
      }
    } else if (message.kind === "request") {
      void this.#answer(message.id, message.method, (message.params ?? {}) as Params);
    } else if (message.kind === "notification") {
      this.#notification(message.method, (message.params ?? {}) as Params);
    } else {
      this.violations.push(`not a message: ${JSON.stringify(message)}`);
    }
  }

  async #answer(id: Id, method: string, params: Params): Promise<void> {
    let outcome: object;
    try {
      outcome = { result: (await this.#serve(method, params)) ?? null };
    } catch (error) {
      const { message, data = undefined, ...rest } = error as PluginError;
      outcome = { error: { code: rest.code ?? 1, message, data } };
    }
    this.send(JSON.stringify({ jsonrpc: "2.0", id, ...outcome }));
  }

  #serve(method: string, params: Params): unknown {
    if (method === "host/info") return { hostInfo: { name: "fake", version: "0" }, peers: [] };
    if (method === "host/publish") {
      this.published.push(params);
      return { delivered: 1 };
    }
    if (method === "host/call") {
      this.called.push(params);
      const name = `${params.plugin}.${params.method}`;
      const act = this.#others.get(name);
      if (act) return act(params.params);
      throw new PluginError(`nobody provides ${name}`, { code: code.methodNotFound });
    }
    throw new PluginError("the host has no such method", { code: code.methodNotFound });
  }

  #notification(method: string, params: Params): void {
    if (method === "$/log") {
      this.logs.push(params);
    } else if (method === "$/status") {
      this.statuses.push(params);
    } else if (method === "host/publish") {
      this.published.push(params);
    } else if (method === "$/progress") {
      const sent = [...this.#pending.values()].find(({ token }) => token === params.token);
      if (!sent || sent.done) {
        this.violations.push(`progress that nobody asked for: ${JSON.stringify(params)}`);
        return;
      }
      if (sent.progress.some(({ progress }) => progress >= params.progress)) {
        this.violations.push(`progress that does not rise: ${JSON.stringify(params)}`);
      }
      sent.progress.push(params);
    } else {
      this.violations.push(`an unknown notification: ${method}`);
    }
  }
}
