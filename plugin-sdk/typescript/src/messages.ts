/** Lines to messages, without any I/O. */

import { HEAD, TAIL, isId, salvage, type Id } from "./salvage.js";

export const DEFAULT_MAX_DEPTH = 128;

const MAX_METHOD = 256;

/** The error object of an answer. */
export interface RemoteError {
  code: number;
  message: string;
  data?: unknown;
}

export type Reason = "json" | "depth" | "jsonrpc" | "id" | "method" | "params" | "shape" | "error";

export type Message =
  | { kind: "request"; id: Id; method: string; params?: object }
  | { kind: "notification"; method: string; params?: object }
  | { kind: "response"; id: Id; result?: unknown; error?: RemoteError }
  /** An error with a null id: the peer could not read something, and nobody can say what. */
  | { kind: "orphanError"; error: RemoteError }
  /** Why a frame is no message, and whose request it was, where that can be told. */
  | { kind: "reject"; reason: Reason; id?: Id; request: boolean };

/** Reads one frame. `maxDepth` counts the outer object as 1. */
export function decode(text: string, maxDepth: number = DEFAULT_MAX_DEPTH): Message {
  if (!depthWithin(text, maxDepth)) {
    const head = Buffer.from(text.slice(0, HEAD)).subarray(0, HEAD);
    const tail = Buffer.from(text.slice(-TAIL));
    return { kind: "reject", reason: "depth", ...salvage(head, tail) };
  }
  try {
    return judge(JSON.parse(text) as Record<string, unknown>);
  } catch {
    return { kind: "reject", reason: "json", request: false };
  }
}

function judge(envelope: Record<string, unknown>): Message {
  const { method, result, error, params } = envelope;
  const id = isId(envelope.id) ? envelope.id : undefined;
  const request = "method" in envelope;
  const reject = (reason: Reason): Message => ({
    kind: "reject",
    reason,
    request,
    ...(id === undefined ? {} : { id }),
  });
  if (envelope.jsonrpc !== "2.0") return reject("jsonrpc");
  if (request) {
    if (typeof method !== "string" || method === "" || Buffer.byteLength(method) > MAX_METHOD) {
      return reject("method");
    }
    if ("result" in envelope || "error" in envelope) return reject("shape");
    if (id === undefined && "id" in envelope) return reject("id");
    // Null reads as absent.
    if (params !== undefined && typeof params !== "object") return reject("params");
    const given = params ? { params } : {};
    return id === undefined
      ? { kind: "notification", method, ...given }
      : { kind: "request", id, method, ...given };
  }
  const failed = error !== undefined && error !== null;
  if (id === undefined && !(envelope.id === null && failed)) return reject("id");
  if (!failed) {
    if (id === undefined || result === undefined) return reject("shape");
    return { kind: "response", id, result };
  }
  if (result !== undefined && result !== null) return reject("shape");
  if (!isRemoteError(error)) return reject("error");
  return id === undefined ? { kind: "orphanError", error } : { kind: "response", id, error };
}

function isRemoteError(error: unknown): error is RemoteError {
  const { code, message } = error as Partial<RemoteError>;
  return Number.isInteger(code) && typeof message === "string";
}

/** Whether brackets nest at most so deep. Looked at before any parser runs, whose stack is finite. */
export function depthWithin(text: string, maxDepth: number): boolean {
  if (text.length <= maxDepth) return true;
  let depth = 0;
  for (let at = 0; at < text.length; at += 1) {
    switch (text.charCodeAt(at)) {
      case 0x22: // A string: on to its end, past escaped quotes.
        do {
          at = text.indexOf('"', at + 1);
          if (at < 0) return true;
        } while (isEscaped(text, at));
        break;
      case 0x7b:
      case 0x5b:
        depth += 1;
        if (depth > maxDepth) return false;
        break;
      case 0x7d:
      case 0x5d:
        depth -= 1;
        break;
    }
  }
  return true;
}

function isEscaped(text: string, at: number): boolean {
  let start = at;
  while (text.charCodeAt(start - 1) === 0x5c) start -= 1;
  return (at - start) % 2 === 1;
}
