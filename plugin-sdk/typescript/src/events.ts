/** Events, to the handlers that subscribed to them: one at a time, in order. */

import type { Host } from "./host.js";

/** Events that wait. Beyond that the newest is dropped, and counted in the next one's `missed`. */
const WAITING = 1024;

/** Something that another plugin, or the host, published. */
export interface PluginEvent<T = any> {
  topic: string;
  data: T;
  source: string;
  /** Counts up from 1 for this run of the plugin. */
  seq: number;
  /** When it was published, in milliseconds since 1970. */
  timeMs: number;
  /** How many events were lost between the last one and this. */
  missed: number;
}

export type EventHandler = (event: PluginEvent, host: Host) => unknown;

export interface Subscription {
  topic: string;
  handler: EventHandler;
}

export class Events {
  readonly #subscriptions: readonly Subscription[];
  readonly #host: Host;
  readonly #failed: (error: unknown, what: string) => void;
  readonly #queue: PluginEvent[] = [];
  #missed = 0;
  #running = false;

  constructor(
    subscriptions: readonly Subscription[],
    host: Host,
    failed: (error: unknown, what: string) => void,
  ) {
    this.#subscriptions = subscriptions;
    this.#host = host;
    this.#failed = failed;
  }

  take(params: Record<string, unknown>): void {
    if (typeof params.topic !== "string" || this.#subscriptions.length === 0) return;
    const missed = integer(params.missed) + this.#missed;
    if (this.#queue.length >= WAITING) {
      this.#missed = missed + 1;
      return;
    }
    this.#missed = 0;
    this.#queue.push({
      topic: params.topic,
      data: params.data,
      source: typeof params.source === "string" ? params.source : "",
      seq: integer(params.seq),
      timeMs: integer(params.timeMs),
      missed,
    });
    void this.#run();
  }

  async #run(): Promise<void> {
    if (this.#running) return;
    this.#running = true;
    for (let event = this.#queue.shift(); event; event = this.#queue.shift()) {
      for (const { topic, handler } of this.#subscriptions) {
        if (!matches(topic, event.topic)) continue;
        try {
          await handler(event, this.#host);
        } catch (error) {
          this.#failed(error, `the handler of ${event.topic}`);
        }
      }
    }
    this.#running = false;
  }
}

/** `*` stands for any run of characters. */
function matches(pattern: string, topic: string): boolean {
  const literal = pattern.split("*").map((part) => part.replace(/[\\^$.+?()[\]{}|]/g, "\\$&"));
  return new RegExp(`^${literal.join(".*")}$`, "s").test(topic);
}

const integer = (value: unknown): number => (Number.isSafeInteger(value) ? (value as number) : 0);
