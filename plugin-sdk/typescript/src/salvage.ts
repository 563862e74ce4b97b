/**
 * Finding the id of a message that cannot be read whole.
 *
 * A request that is too long or too deep must be answered, and not left to its deadline. What is known of such a line
 * is its beginning and its end.
 */

export const HEAD = 4096;
export const TAIL = 256;

const MAX_TEXT_ID = 256;

/** An integer that every language can hold, or a short text. */
export type Id = number | string;

export function isId(value: unknown): value is Id {
  if (typeof value === "string") return Buffer.byteLength(value) <= MAX_TEXT_ID;
  return Number.isSafeInteger(value);
}

export interface Salvaged {
  id?: Id;
  /** It has a method: the id is the peer's own. */
  request: boolean;
}

const SPACE = /[ \t\r\n]*/y;
const STRING = /"(?:[^"\\]|\\.)*"/sy;
const SCALAR = /[^,}\]\s]+/y;
const LAST_ID = /[,{]\s*"id"\s*:\s*(-?[0-9]+|"[^"\\]*")\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$/;

/**
 * Looks for an `id` of the outer object in the head, else for one as the last member in the tail.
 *
 * The second is sound: what stands before the last brace belongs to the outer object.
 */
export function salvage(head: Buffer, tail: Buffer): Salvaged {
  const text = head.toString();
  const found: Salvaged = { request: false };
  let at = skip(SPACE, text, 0) ?? 0;
  if (text[at] !== "{") return found;
  at += 1;
  for (;;) {
    at = skip(SPACE, text, at) ?? at;
    // The object ended within the head: what follows is no part of it.
    if (text[at] === "}") return found;
    const nameEnd = skip(STRING, text, at);
    if (nameEnd === undefined) break;
    const name = parse(text.slice(at, nameEnd));
    at = skip(SPACE, text, nameEnd) ?? nameEnd;
    if (text[at] !== ":") break;
    if (name === "method") found.request = true;
    const start = skip(SPACE, text, at + 1) ?? at + 1;
    const end = valueEnd(text, start);
    if (end === undefined) break;
    at = skip(SPACE, text, end) ?? end;
    // Also shows that a number was not cut off by the end of the head.
    if (text[at] !== "," && text[at] !== "}") break;
    const value = name === "id" ? parse(text.slice(start, end)) : undefined;
    if (found.id === undefined && isId(value)) found.id = value;
    if (text[at] === ",") at += 1;
  }
  if (found.id === undefined) {
    const last = parse(LAST_ID.exec(tail.toString("latin1"))?.[1] ?? "");
    if (isId(last)) found.id = last;
  }
  return found;
}

/** Where the value at `start` ends, or undefined when the text ends first. */
function valueEnd(text: string, start: number): number | undefined {
  if (text[start] === '"') return skip(STRING, text, start);
  if (text[start] !== "{" && text[start] !== "[") return skip(SCALAR, text, start);
  let depth = 0;
  for (let at = start; at < text.length; at += 1) {
    const c = text[at];
    if (c === '"') {
      const end = skip(STRING, text, at);
      if (end === undefined) return undefined;
      at = end - 1;
    } else if (c === "{" || c === "[") {
      depth += 1;
    } else if (c === "}" || c === "]") {
      depth -= 1;
      if (depth === 0) return at + 1;
    }
  }
  return undefined;
}

function skip(pattern: RegExp, text: string, at: number): number | undefined {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
