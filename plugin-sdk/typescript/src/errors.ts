/** What handlers fail with, and what calls to others fail with. */

export const code = {
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  deadline: -31002,
  overloaded: -31004,
  tooLarge: -31005,
  shuttingDown: -31008,
  notReady: -31009,
  unsupportedProtocol: -31010,
  cancelled: -32800,
  application: 1,
} as const;

/**
 * An error answer: a code, a sentence, and data if there is any.
 *
 * Throw one in a handler to choose what the caller gets; a call to another plugin rejects with one when it is answered
 * with an error. `code` is any integer outside -32768…-32000 and -31099…-31000, which belong to JSON-RPC and to the
 * host; it is 1 unless said.
 */
export class PluginError extends Error {
  override readonly name: string = "PluginError";
  readonly code: number;
  readonly data: unknown;

  constructor(message: string, options: { code?: number; data?: unknown } = {}) {
    super(message);
    this.code = options.code ?? code.application;
    this.data = options.data;
  }

  /** Whether the host says that the same call may be tried again. */
  get retryable(): boolean {
    return this.#member("retryable") === true;
  }

  /** The host's word for what went wrong, such as `backoff` or `in_flight`. */
  get errorClass(): string | undefined {
    const word = this.#member("class");
    return typeof word === "string" ? word : undefined;
  }

  #member(name: string): unknown {
    return (this.data as Record<string, unknown> | null | undefined)?.[name];
  }
}

/** The params are JSON and still wrong: -32602. */
export class InvalidParams extends PluginError {
  override readonly name = "InvalidParams";

  constructor(message: string, data?: unknown) {
    super(message, { code: code.invalidParams, data });
  }
}

/** Why a call's signal is aborted: the caller has gone (-32800), or the deadline has passed (-31002). */
export class Cancelled extends PluginError {
  override readonly name = "Cancelled";

  constructor(reason: string) {
    const late = reason === "deadline";
    super(late ? "the deadline has passed" : "cancelled", {
      code: late ? code.deadline : code.cancelled,
    });
  }
}

/** The host ended while a request to it was open. */
export class HostGone extends PluginError {
  override readonly name = "HostGone";

  constructor() {
    super("the host has gone", { code: code.shuttingDown });
  }
}
