/** A plugin as its author describes it. */

import type { Call } from "./call.js";
import type { EventHandler, Subscription } from "./events.js";
import { Host } from "./host.js";
import { captureConsole } from "./logging.js";
import { serve } from "./serve.js";
import { refuseTerminal, take } from "./stdio.js";

const LEGAL = /^[A-Za-z0-9_$./:-]{1,128}$/;
const RESERVED =
  /^(initialize|initialized|ping|shutdown|exit|drain|event|(config\/|host\/|\$\/).*)$/;

/** Milliseconds that are left to timers and sockets of the author's once serving is over. */
const LAST = 1500;

/** Takes JSON apart, and throws when it is not what it should be: a schema library's `parse`, for instance. */
export type Parse<T> = (value: unknown) => T;

export type Handler<P, R> = (params: P, call: Call) => R | Promise<R>;

/** Runs an author's own code at one of the plugin's turns. */
export type Hook = (host: Host) => unknown;

export interface PluginOptions<C> {
  /** Reads the manifest's `[config]`. What it throws refuses the start. */
  config?: Parse<C>;
  /** Calls that run at once (8 unless said); the host keeps what is beyond. */
  concurrency?: number;
  /** With `false` no call comes until `host.status("ready")`. */
  ready?: boolean;
  /**
   * Says that every handler looks at `call.idempotencyKey`, and does nothing twice for the same one: the host then sends
   * a call that has one again after a crash.
   */
  idempotencyKeys?: boolean;
  /** Sends `console.log` and its kin to the host's log, with their levels; true unless said. */
  console?: boolean;
  /** Puts stacks of handlers' errors into their answers; they are in the log in any case. */
  stacks?: boolean;
}

export interface MethodOptions<P> {
  /** Reads the params. What it throws is answered with -32602, without the handler. */
  parse?: Parse<P>;
  /** After a crash the host may send such a call to the next process. */
  idempotent?: boolean;
  timeoutMs?: number;
  description?: string;
  /** JSON Schemas, to be shown to people. */
  params?: object;
  result?: object;
}

/** @internal */
export interface Method {
  handler: Handler<any, unknown>;
  parse: Parse<unknown>;
  about: object;
}

/** A plugin: its methods, then {@link run}. */
export class Plugin<C = any> {
  readonly name: string;
  readonly version: string;
  /** The manifest's `[config]`, from the opening on. */
  config!: C;
  /** Before {@link run} there is none, and what is said to it is lost. */
  readonly host = new Host();
  /** @internal */
  readonly options: Required<PluginOptions<C>>;
  /** @internal */
  readonly methods = new Map<string, Method>();
  /** @internal */
  readonly subscriptions: Subscription[] = [];
  /** @internal */
  readonly topics: string[] = [];
  /** @internal */
  readonly hooks = {
    start: [] as Hook[],
    config: [] as Hook[],
    drain: [] as Hook[],
    shutdown: [] as Hook[],
  };

  constructor(name: string, version = "0.0.0", options: PluginOptions<C> = {}) {
    const concurrency = options.concurrency ?? 8;
    if (!Number.isSafeInteger(concurrency) || concurrency < 1) {
      throw new RangeError("concurrency is an integer of at least 1");
    }
    this.name = name;
    this.version = version;
    this.options = {
      config: options.config ?? ((value) => value as C),
      concurrency,
      ready: options.ready ?? true,
      idempotencyKeys: options.idempotencyKeys ?? false,
      console: options.console ?? true,
      stacks: options.stacks ?? false,
    };
  }

  /**
   * Adds a method. The handler's result, or what its promise resolves to, is the answer.
   *
   * @throws RangeError when the name is not `[A-Za-z0-9_$./:-]{1,128}`, is the protocol's own, or is there already.
   */
  method<P = any, R = unknown>(name: string, handler: Handler<P, R>): this;
  method<P = any, R = unknown>(
    name: string,
    options: MethodOptions<P>,
    handler: Handler<P, R>,
  ): this;
  method<P>(
    name: string,
    first: MethodOptions<P> | Handler<P, unknown>,
    second?: Handler<P, unknown>,
  ): this {
    const [options, handler] = typeof first === "function" ? [{}, first] : [first, second];
    if (!handler) throw new TypeError(`the method ${name} has no handler`);
    if (!LEGAL.test(name)) {
      throw new RangeError(
        `${name} cannot be a method's name: 1 to 128 of A-Z a-z 0-9 _ $ . / : -`,
      );
    }
    if (RESERVED.test(name)) throw new RangeError(`${name} is the protocol's own`);
    if (this.methods.has(name)) throw new RangeError(`the method ${name} is there twice`);
    const { parse, ...about } = options as MethodOptions<P>;
    this.methods.set(name, { handler, parse: parse ?? ((value) => value), about });
    return this;
  }

  /** Subscribes to a topic, or a pattern of them (`net.*`). One event is handled at a time. */
  onEvent(topic: string, handler: EventHandler): this {
    this.subscriptions.push({ topic, handler });
    return this;
  }

  /** Says which topics this plugin publishes. */
  publishes(...topics: string[]): this {
    this.topics.push(...topics);
    return this;
  }

  /** Runs once `config` is there, before the opening is answered. What it throws refuses the start. */
  onStart(hook: Hook): this {
    this.hooks.start.push(hook);
    return this;
  }

  /**
   * Runs when the manifest's `[config]` has changed; `config` is the new one. Without such a hook, or when it throws or
   * gives false, the host restarts the plugin instead.
   */
  onConfig(hook: Hook): this {
    this.hooks.config.push(hook);
    return this;
  }

  /** Runs when no more calls will come and those in progress have ended. */
  onDrain(hook: Hook): this {
    this.hooks.drain.push(hook);
    return this;
  }

  /** Runs once before the plugin ends, be it asked to, told by SIGTERM, or left without a host. */
  onShutdown(hook: Hook): this {
    this.hooks.shutdown.push(hook);
    return this;
  }

  /**
   * Serves until the host says `exit`, closes stdin, or SIGTERM comes.
   *
   * A process that does not end soon after that, because of open sockets or timers, is ended with status 0.
   */
  async run(): Promise<void> {
    refuseTerminal(this.name);
    const wire = take();
    const release = this.options.console ? captureConsole(this.host) : () => undefined;
    await serve(this, wire, { signals: true });
    release();
    wire.input.destroy();
    setTimeout(() => process.exit(0), LAST).unref();
  }
}
