/** The way out: whole frames, those of one turn of the event loop together. */

import type { Writable } from "node:stream";

import { code, PluginError } from "./errors.js";
import { DEFAULT_MAX_FRAME } from "./frames.js";
import { DEFAULT_MAX_DEPTH, depthWithin } from "./messages.js";
import type { Id } from "./salvage.js";

/** Bytes of a frame around its payload, at most. */
const ENVELOPE = 512;

/** Bytes that wait for the host. Beyond that nothing is read from it, and log lines are dropped. */
const WAITING = 16 << 20;

/** When the host is gone nothing is sent and nothing fails: the end is near. */
export class Outlet {
  maxFrame = DEFAULT_MAX_FRAME;
  maxDepth = DEFAULT_MAX_DEPTH;
  #output: Writable | undefined;
  #corked = false;
  #dropped = 0;

  constructor(output?: Writable) {
    this.#output = output;
    output?.on("error", () => (this.#output = undefined));
  }

  get isFull(): boolean {
    return (this.#output?.writableLength ?? 0) > WAITING;
  }

  /** `result` is JSON text. */
  result(id: Id, result: string): void {
    this.#send(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${result}}`);
  }

  error(id: Id, error: PluginError): void {
    const body = { code: error.code, message: error.message };
    let text: string;
    try {
      text = this.checked(error.data === undefined ? body : { ...body, data: error.data });
    } catch {
      text = JSON.stringify({ ...body, message: body.message.slice(0, 4096) });
    }
    this.#send(`{"jsonrpc":"2.0","id":${JSON.stringify(id)},"error":${text}}`);
  }

  /** Throws what `checked` throws. */
  request(id: Id, method: string, params: unknown): void {
    const text = this.checked(params);
    this.#send(
      `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"method":"${method}","params":${text}}`,
    );
  }

  /** Throws what `checked` throws. */
  notify(method: string, params: unknown): void {
    this.#send(`{"jsonrpc":"2.0","method":"${method}","params":${this.checked(params)}}`);
  }

  log(params: { level: string; message: string; fields?: object }): void {
    if (this.isFull) {
      this.#dropped += 1;
      return;
    }
    if (this.#dropped > 0) {
      const message = `${this.#dropped} log lines were dropped: the host did not read them in time`;
      this.#dropped = 0;
      this.notify("$/log", { level: "warn", message });
    }
    this.notify("$/log", params);
  }

  /** `value` as JSON text. Throws TypeError when it is none, PluginError when it is more than the host takes. */
  checked(value: unknown): string {
    // Nothing is null; so is a function or a symbol, for what `JSON` makes of them.
    const text = JSON.stringify(value) ?? "null";
    if (
      text.length + ENVELOPE > this.maxFrame ||
      Buffer.byteLength(text) + ENVELOPE > this.maxFrame
    ) {
      throw new PluginError(`${text.length} bytes are more than the host takes`, {
        code: code.tooLarge,
      });
    }
    if (!depthWithin(text, this.maxDepth - 1)) {
      throw new PluginError("it nests deeper than the host takes", { code: code.tooLarge });
    }
    return text;
  }

  /** Resolves when everything is written or the host is gone. */
  async end(): Promise<void> {
    const output = this.#output;
    if (!output) return;
    this.#uncork();
    await new Promise<void>((resolve) => {
      output.once("error", () => resolve());
      output.end(() => resolve());
    });
  }

  #send(frame: string): void {
    if (!this.#output) return;
    if (!this.#corked) {
      this.#corked = true;
      this.#output.cork();
      setImmediate(() => this.#uncork());
    }
    this.#output.write(`${frame}\n`);
  }

  #uncork(): void {
    if (this.#corked) {
      this.#corked = false;
      this.#output?.uncork();
    }
  }
}
