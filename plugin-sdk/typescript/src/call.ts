/** What a handler knows of the call that it answers. */

import { AsyncLocalStorage } from "node:async_hooks";

import { Cancelled } from "./errors.js";
import type { Host } from "./host.js";

/**
 * How much later than the host the plugin notices a deadline, in milliseconds. The host has answered the caller by then
 * and has said `$/cancel`; that it was late, and by how much, is for the host to tell.
 */
const GRACE = 100;

/** Milliseconds of the longest timer. */
const LONGEST_TIMER = 2 ** 31 - 1;

export const current = new AsyncLocalStorage<Call>();

/** The call that this code answers; undefined outside of handlers. */
export const currentCall = (): Call | undefined => current.getStore();

export class Call {
  /** The method that was called. */
  readonly method: string;
  /** What the host and the caller said beside the params: trace context and the like. */
  readonly meta: Readonly<Record<string, unknown>>;
  /** The host, for calls to other plugins, events and the plugin's status. */
  readonly host: Host;
  /** Aborted when the caller has gone or the deadline has passed. Hand it on to whatever waits. */
  readonly signal: AbortSignal;
  readonly #controller = new AbortController();
  readonly #deadline: number | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  #progress = -Infinity;
  #done = false;

  /** @internal */
  constructor(method: string, meta: Record<string, unknown>, host: Host) {
    this.method = method;
    this.meta = meta;
    this.host = host;
    this.signal = this.#controller.signal;
    const left = meta.deadlineMs;
    if (typeof left === "number") {
      this.#deadline = performance.now() + left;
      this.#timer = setTimeout(() => this.cancel("deadline"), Math.min(left + GRACE, LONGEST_TIMER));
    }
  }

  /** `cli`, `api:NAME` or `plugin:ID`. */
  get caller(): string | undefined {
    const { caller } = this.meta;
    return typeof caller === "string" ? caller : undefined;
  }

  /** 1, or 2 when the call is repeated after a crash. */
  get attempt(): number {
    const { attempt } = this.meta;
    return typeof attempt === "number" ? attempt : 1;
  }

  /** The same key means the same effect. */
  get idempotencyKey(): string | undefined {
    const { idempotencyKey } = this.meta;
    return typeof idempotencyKey === "string" ? idempotencyKey : undefined;
  }

  /** Milliseconds until the deadline, never below 0; undefined when there is none. */
  remaining(): number | undefined {
    return this.#deadline === undefined
      ? undefined
      : Math.max(0, this.#deadline - performance.now());
  }

  /** Tells the caller how far it is, if it wants to know. `done` rises from one time to the next. */
  progress(done: number, total?: number, message?: string): void {
    const token = this.meta.progressToken;
    if (token === undefined || token === null || this.#done || !(done > this.#progress)) return;
    this.#progress = done;
    // `JSON` leaves out what is undefined.
    this.host.outlet.notify("$/progress", { token, progress: done, total, message });
  }

  /** @internal A second cancellation changes nothing. */
  cancel(reason: string): void {
    if (!this.#done) this.#controller.abort(new Cancelled(reason));
  }

  /** @internal */
  finish(): void {
    this.#done = true;
    clearTimeout(this.#timer);
  }
}
