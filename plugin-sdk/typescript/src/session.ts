/** From frames to handlers and back. */

import { Call, current } from "./call.js";
import { Cancelled, code, InvalidParams, PluginError } from "./errors.js";
import { Events } from "./events.js";
import { DEFAULT_MAX_FRAME, type Framer, type Item } from "./frames.js";
import type { Host } from "./host.js";
import { LONGEST } from "./logging.js";
import { decode, type Message } from "./messages.js";
import type { Outlet } from "./outlet.js";
import type { Hook, Method, Plugin } from "./plugin.js";
import type { Id } from "./salvage.js";
import { Slots, within } from "./slots.js";

const PROTOCOL = 1;

/** Calls that wait for a slot. The host knows how many run at once and keeps the rest: more is a host that does not. */
const WAITING = 1024;

/** Milliseconds for calls in progress once stdin has ended, and for the shutdown hooks after them. */
const LAST_ANSWERS = 1000;
const LAST_HOOKS = 500;

/** Milliseconds in which a cancelled handler ends by itself; then it is answered for. */
const LAST_WORDS = 1000;

type Params = Record<string, any>;
type Request = Extract<Message, { kind: "request" }>;

/** What application calls are answered with; `open` lets them pass. */
const REFUSALS = {
  new: [code.notReady, "has not been initialized"],
  draining: [code.shuttingDown, "takes no more calls"],
  stopping: [code.shuttingDown, "is shutting down"],
} as const;

export class Session {
  /** Resolves when there is nothing more to do. */
  readonly over: Promise<void>;
  readonly #plugin: Plugin;
  readonly #host: Host;
  readonly #outlet: Outlet;
  readonly #framer: Framer;
  readonly #events: Events;
  readonly #slots: Slots;
  readonly #calls = new Map<Id, Call>();
  readonly #finish: () => void;
  #phase: "new" | "opening" | "open" | "draining" | "stopping" | "over" = "new";
  /** What came behind an opening that is not answered yet. */
  #held: Request[] = [];
  #idle: (() => void)[] = [];
  #ending = false;
  #hooks: Promise<object> | undefined;
  #junkSaid = false;

  constructor(plugin: Plugin, outlet: Outlet, framer: Framer) {
    this.#plugin = plugin;
    this.#host = plugin.host;
    this.#outlet = outlet;
    this.#framer = framer;
    this.#slots = new Slots(plugin.options.concurrency);
    this.#events = new Events(plugin.subscriptions, plugin.host, (error, what) =>
      this.#complain(error, what),
    );
    let finish = (): void => undefined;
    this.over = new Promise((resolve) => (finish = resolve));
    this.#finish = () => {
      this.#phase = "over";
      finish();
    };
  }

  /** What was read, in order. */
  take(items: Item[]): void {
    for (const item of items) {
      if (this.#phase === "over") return;
      if ("frame" in item) {
        this.#message(decode(item.frame));
      } else if ("tooLong" in item && item.tooLong.request && item.tooLong.id !== undefined) {
        const why = `takes less than ${item.tooLong.bytes} bytes in a frame`;
        this.#fail(item.tooLong.id, code.tooLarge, why);
      } else {
        this.#junk();
      }
    }
  }

  /** No more will be asked: stdin has ended, or SIGTERM came. */
  end(): void {
    if (this.#ending || this.#phase === "over") return;
    this.#ending = true;
    this.#phase = "stopping";
    void within(LAST_ANSWERS, this.#whenIdle())
      .then(() => within(LAST_HOOKS, this.#shutdownHooks()))
      .then(this.#finish);
  }

  #message(message: Message): void {
    switch (message.kind) {
      case "request":
        return this.#request(message);
      case "notification":
        return this.#notification(message.method, (message.params ?? {}) as Params);
      case "response":
        return this.#host.answered(message.id, message.result, message.error);
      case "orphanError":
        return;
      case "reject": {
        if (message.id === undefined || !message.request) return this.#junk();
        const tooDeep = message.reason === "depth";
        const why = `cannot read this request: ${message.reason}`;
        return this.#fail(message.id, tooDeep ? code.tooLarge : code.invalidRequest, why);
      }
    }
  }

  /** Junk is never answered: nobody could tell what the answer is to. It is told once. */
  #junk(): void {
    if (this.#junkSaid) return;
    this.#junkSaid = true;
    this.#host.log("warn", "stdin has lines that are no messages; they are skipped");
  }

  #notification(method: string, params: Params): void {
    if (method === "exit") {
      this.#finish();
    } else if (method === "$/cancel") {
      const reason = typeof params.reason === "string" ? params.reason : "caller";
      this.#calls.get(params.id)?.cancel(reason);
    } else if (method === "event") {
      this.#events.take(params);
    }
  }

  #request(request: Request): void {
    const { id, method } = request;
    const params = (request.params ?? {}) as Params;
    const { hooks, methods } = this.#plugin;
    if (method === "ping") {
      this.#outlet.result(id, JSON.stringify(this.#host.lastStatus));
    } else if (method === "initialize") {
      if (this.#phase !== "new") {
        this.#fail(id, code.invalidRequest, "has been initialized already");
        return;
      }
      this.#phase = "opening";
      void this.#serve(id, this.#open(params)).then(() => {
        const held = this.#held;
        this.#held = [];
        for (const request of held) this.#request(request);
      });
    } else if (method === "shutdown") {
      this.#phase = "stopping";
      void this.#serve(id, this.#shutdownHooks());
    } else if (this.#phase === "opening") {
      this.#held.push(request);
    } else if (this.#phase === "new") {
      this.#refuse(id, "new");
    } else if (method === "drain" && hooks.drain.length > 0) {
      if (this.#phase === "open") this.#phase = "draining";
      void this.#serve(id, this.#drain(params));
    } else if (method === "config/changed" && hooks.config.length > 0) {
      void this.#serve(id, this.#reconfigure(params));
    } else {
      const known = methods.get(method);
      if (known) this.#call(id, method, known, params);
      else this.#fail(id, code.methodNotFound, `has no method ${method}`);
    }
  }

  #fail(id: Id, code: number, why: string): void {
    this.#outlet.error(id, new PluginError(`the plugin ${this.#plugin.name} ${why}`, { code }));
  }

  #refuse(id: Id, phase: keyof typeof REFUSALS): void {
    const [code, why] = REFUSALS[phase];
    this.#fail(id, code, why);
  }

  /** Answers one of the protocol's own requests with what `work` gives. */
  async #serve(id: Id, work: Promise<object>): Promise<void> {
    try {
      this.#outlet.result(id, this.#outlet.checked(await work));
    } catch (error) {
      this.#outlet.error(id, this.#told(error, "a hook"));
    }
  }

  // The protocol's own requests.

  async #open(params: Params): Promise<object> {
    const { name, version, options, methods, hooks, topics, subscriptions } = this.#plugin;
    try {
      const versions: unknown = params.protocolVersions;
      if (!Array.isArray(versions) || !versions.includes(PROTOCOL)) {
        throw new PluginError(`this plugin speaks version ${PROTOCOL} of the protocol`, {
          code: code.unsupportedProtocol,
          data: { supported: [PROTOCOL] },
        });
      }
      this.#takeLimits((params.limits ?? {}) as Params);
      this.#host.plugin = params.plugin ?? {};
      this.#host.capabilities = params.capabilities ?? {};
      this.#plugin.config = this.#config(params);
      for (const hook of hooks.start) await hook(this.#host);
    } catch (error) {
      if (this.#phase === "opening") this.#phase = "new";
      throw error;
    }
    if (this.#phase === "opening") this.#phase = "open";
    const about = [...methods].map(([method, { about }]) => [method, about] as const);
    return {
      protocolVersion: PROTOCOL,
      name,
      version,
      methods: Object.fromEntries(about),
      events: topics,
      subscribe: subscriptions.map(({ topic }) => topic),
      concurrency: options.concurrency,
      ready: options.ready,
      supports: {
        drain: hooks.drain.length > 0,
        configReload: hooks.config.length > 0,
        progress: true,
        cancel: true,
        idempotency: options.idempotencyKeys,
        meta: true,
      },
    };
  }

  #takeLimits(limits: Params): void {
    const { maxFrameBytes, maxDepth, maxHostFrameBytes } = limits;
    if (Number.isSafeInteger(maxFrameBytes)) this.#outlet.maxFrame = maxFrameBytes;
    if (Number.isSafeInteger(maxDepth)) this.#outlet.maxDepth = maxDepth;
    if (Number.isSafeInteger(maxHostFrameBytes)) {
      this.#framer.maxFrame = Math.max(DEFAULT_MAX_FRAME, maxHostFrameBytes);
    }
  }

  #config(params: Params): unknown {
    try {
      return this.#plugin.options.config(params.config ?? {});
    } catch (error) {
      if (error instanceof PluginError) throw error;
      throw new InvalidParams(`the manifest's [config] is wrong: ${words(error)}`);
    }
  }

  async #reconfigure(params: Params): Promise<object> {
    const before = this.#plugin.config;
    this.#plugin.config = this.#config(params);
    try {
      for (const hook of this.#plugin.hooks.config) {
        if ((await hook(this.#host)) === false) {
          this.#plugin.config = before;
          return { applied: false };
        }
      }
    } catch (error) {
      this.#plugin.config = before;
      throw error;
    }
    return { applied: true };
  }

  async #drain({ deadlineMs }: Params): Promise<object> {
    const idle = this.#whenIdle();
    if (!(await within(typeof deadlineMs === "number" ? deadlineMs : Infinity, idle))) {
      const why = `${this.#calls.size} calls are still in progress`;
      throw new PluginError(why, { code: code.deadline });
    }
    for (const hook of this.#plugin.hooks.drain) await hook(this.#host);
    return {};
  }

  /** Each once, and all of them, whatever one of them throws. Who comes second waits for the first. */
  #shutdownHooks(): Promise<object> {
    this.#hooks ??= this.#runShutdownHooks(this.#plugin.hooks.shutdown);
    return this.#hooks;
  }

  async #runShutdownHooks(hooks: readonly Hook[]): Promise<object> {
    for (const hook of hooks) {
      try {
        await hook(this.#host);
      } catch (error) {
        this.#complain(error, "a shutdown hook");
      }
    }
    return {};
  }

  async #whenIdle(): Promise<void> {
    if (this.#calls.size > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  // Application calls.

  #call(id: Id, name: string, method: Method, params: Params): void {
    if (this.#phase === "draining" || this.#phase === "stopping") {
      this.#refuse(id, this.#phase);
    } else if (this.#calls.has(id)) {
      this.#fail(id, code.invalidRequest, `has a call ${id} in progress already`);
    } else if (this.#calls.size >= this.#plugin.options.concurrency + WAITING) {
      this.#fail(id, code.overloaded, "has too many calls waiting already");
    } else {
      const { _meta, ...own } = params;
      const meta = typeof _meta === "object" && _meta !== null ? _meta : {};
      const call = new Call(name, meta, this.#host);
      this.#calls.set(id, call);
      void this.#answer(id, call, method, Array.isArray(params) ? params : own);
    }
  }

  async #answer(id: Id, call: Call, method: Method, params: unknown): Promise<void> {
    let result = "null";
    let error: PluginError | undefined;
    try {
      result = this.#outlet.checked(await this.#run(call, method, params));
    } catch (thrown) {
      error = this.#cancellation(thrown, call) ?? this.#told(thrown, call.method);
    }
    call.finish();
    this.#calls.delete(id);
    if (error) this.#outlet.error(id, error);
    else this.#outlet.result(id, result);
    if (this.#calls.size === 0) {
      for (const resolve of this.#idle.splice(0)) resolve();
    }
  }

  async #run(call: Call, method: Method, params: unknown): Promise<unknown> {
    await this.#slots.take(call.signal);
    try {
      const parsed = this.#parsed(method, params);
      const work = current.run(call, async () => method.handler(parsed, call));
      return await Promise.race([work, this.#lastWords(call)]);
    } finally {
      this.#slots.give();
    }
  }

  #parsed(method: Method, params: unknown): unknown {
    try {
      return method.parse(params);
    } catch (error) {
      if (error instanceof PluginError) throw error;
      throw new InvalidParams(words(error));
    }
  }

  /** A promise cannot be stopped from outside. One that outlives its cancellation by much is answered for. */
  async #lastWords({ signal, method }: Call): Promise<never> {
    if (!signal.aborted) {
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    }
    await new Promise<void>((resolve) => setTimeout(resolve, LAST_WORDS).unref());
    if ([...this.#calls.values()].some((call) => call.signal === signal)) {
      this.#host.log("warn", `${method} takes no notice of its signal, and was answered for`);
    }
    throw signal.reason;
  }

  /** What a cancelled handler threw, if that is why: the signal's own reason, or the error that Node makes of it. */
  #cancellation(thrown: unknown, { signal }: Call): Cancelled | undefined {
    if (!signal.aborted || !(signal.reason instanceof Cancelled)) return undefined;
    const aborted = thrown instanceof Error && thrown.name === "AbortError";
    return aborted || thrown === signal.reason ? signal.reason : undefined;
  }

  /** What a caller is told. What an author did not mean to throw is whole in the log, and a line of it here. */
  #told(thrown: unknown, what: string): PluginError {
    if (thrown instanceof PluginError) return thrown;
    this.#complain(thrown, what);
    const type = thrown instanceof Error ? thrown.name : typeof thrown;
    const stack = thrown instanceof Error ? thrown.stack : undefined;
    const data = { class: "exception", type, ...(this.#plugin.options.stacks ? { stack } : {}) };
    return new PluginError(words(thrown), { data });
  }

  #complain(thrown: unknown, what: string): void {
    const whole = thrown instanceof Error ? (thrown.stack ?? words(thrown)) : words(thrown);
    this.#host.log("error", `${what} failed\n${whole}`.slice(0, LONGEST));
  }
}

function words(thrown: unknown): string {
  try {
    return String(thrown);
  } catch {
    return "something that is no text was thrown";
  }
}
