/** The host, as a plugin sees it. */

import { current } from "./call.js";
import { code, HostGone, PluginError } from "./errors.js";
import type { RemoteError } from "./messages.js";
import { Outlet } from "./outlet.js";
import type { Id } from "./salvage.js";

export type State = "ready" | "degraded" | "unhealthy" | "busy";
export type Level = "trace" | "debug" | "info" | "warn" | "error";

export interface CallOptions {
  /** Bounds the call, beside the deadline of the call that it is part of. */
  timeoutMs?: number;
  /** Ends the wait. The signal of the call that is being answered, unless said. */
  signal?: AbortSignal;
}

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

const TRACE = ["traceparent", "tracestate", "baggage"] as const;

/** A handle on the host: calls to other plugins, events, the plugin's status. */
export class Host {
  /** The plugin's id, instance and generation, as the opening said. */
  plugin: { id?: string; instance?: string; generation?: number } = {};
  /** What this plugin may ask of the host, as the opening said. */
  capabilities: { call?: string[]; publish?: string[]; events?: boolean } = {};
  /** @internal Before the plugin runs nobody listens. */
  outlet = new Outlet();
  /** @internal What probes are answered with. */
  lastStatus: object = {};
  #running = false;
  #pending = new Map<Id, Waiting>();
  #lastId = 0;

  /**
   * Says how the plugin is; probes are answered with it until the next one.
   *
   * `ready` ends the other three, and a start with `ready: false`. `expectedMs` is how long it may last.
   */
  status(state: State, message?: string, options: { expectedMs?: number } = {}): void {
    const status = { state, message, expectedMs: options.expectedMs };
    this.lastStatus = state === "ready" ? {} : status;
    this.outlet.notify("$/status", status);
  }

  /** A line for the plugin's log, with fields beside the sentence. `console` ends in the log as well. */
  log(level: Level, message: string, fields?: Record<string, unknown>): void {
    this.outlet.log({ level, message, ...(fields ? { fields } : {}) });
  }

  /**
   * Calls another plugin and gives its result.
   *
   * The call is part of the one that is being answered: its trace goes along, its deadline bounds it, and its signal
   * ends the wait. Rejects with a {@link PluginError}: the callee's or the host's.
   */
  async call<R = any>(
    plugin: string,
    method: string,
    params: unknown = {},
    options: CallOptions = {},
  ): Promise<R> {
    const call = current.getStore();
    const bounds = [options.timeoutMs, call?.remaining()].filter((bound) => bound !== undefined);
    const timeoutMs = bounds.length > 0 ? Math.max(1, Math.floor(Math.min(...bounds))) : undefined;
    const request = { plugin, method, params, timeoutMs, _meta: trace() };
    return (await this.#request("host/call", request, options.signal ?? call?.signal)) as R;
  }

  /** Publishes an event and gives how many plugins it was handed to. */
  async publish(topic: string, data: unknown = null): Promise<number> {
    const request = { topic, data, _meta: trace() };
    const answer = await this.#request("host/publish", request, current.getStore()?.signal);
    return (answer as { delivered?: number } | null)?.delivered ?? 0;
  }

  /** Publishes an event without asking what became of it. */
  publishNow(topic: string, data: unknown = null): void {
    this.outlet.notify("host/publish", { topic, data, _meta: trace() });
  }

  /** The host's name and version, its uptime, and the plugins that this one may call. */
  async info(): Promise<Record<string, unknown>> {
    return (await this.#request("host/info", {}, undefined)) as Record<string, unknown>;
  }

  async #request(
    method: string,
    params: object,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    if (!this.#running) {
      throw new PluginError("the plugin is not running", { code: code.notReady });
    }
    signal?.throwIfAborted();
    this.#lastId += 1;
    const id = this.#lastId;
    const answer = new Promise((resolve, reject) => this.#pending.set(id, { resolve, reject }));
    const abort = (): void => this.#pending.get(id)?.reject(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    try {
      this.outlet.request(id, method, params);
      return await answer;
    } finally {
      this.#pending.delete(id);
      signal?.removeEventListener("abort", abort);
    }
  }

  /** @internal */
  attach(outlet: Outlet): void {
    this.outlet = outlet;
    this.lastStatus = {};
    this.#running = true;
  }

  /** @internal */
  answered(id: Id, result: unknown, error: RemoteError | undefined): void {
    // What was not asked for, or given up meanwhile, is nobody's.
    const waiting = this.#pending.get(id);
    if (error) waiting?.reject(new PluginError(error.message, error));
    else waiting?.resolve(result);
  }

  /** @internal */
  detach(): void {
    this.#running = false;
    for (const waiting of this.#pending.values()) waiting.reject(new HostGone());
  }
}

/** The trace context of the call that is being answered. */
function trace(): object | undefined {
  const meta = current.getStore()?.meta ?? {};
  const found = TRACE.filter((key) => meta[key] !== undefined).map((key) => [key, meta[key]]);
  return found.length > 0 ? Object.fromEntries(found) : undefined;
}
