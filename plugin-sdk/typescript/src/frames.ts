/**
 * Bytes to lines: the framing of the protocol, without any I/O.
 *
 * What comes out never depends on how the bytes were cut into reads, and no more is kept of a line than the limit and
 * a little.
 */

import { isUtf8 } from "node:buffer";

import { HEAD, TAIL, salvage, type Id } from "./salvage.js";

export const DEFAULT_MAX_FRAME = 16 << 20;

const BOM = Buffer.from([0xef, 0xbb, 0xbf]);
const LF = 0x0a;
const CR = 0x0d;

export type Item =
  /** A line that begins with `{`. Whether it is a message is the decoder's business. */
  | { frame: string }
  | { junk: { kind: "text" | "batch" | "utf8"; bytes: number } }
  | { tooLong: { bytes: number; id?: Id; request: boolean } }
  /** What was left at the end of input, without a line feed. It is never acted upon. */
  | { tail: { bytes: number } };

/** Cuts a stream at its line feeds, and at nothing else. */
export class Framer {
  maxFrame: number;
  #first = true;
  #parts: Buffer[] = [];
  #size = 0;
  /** Set while a line too long to keep goes by. */
  #skipping: { head: Buffer; tail: Buffer } | undefined;

  constructor(maxFrame: number = DEFAULT_MAX_FRAME) {
    this.maxFrame = maxFrame;
  }

  /** Takes what was read, and gives what is complete. */
  feed(data: Buffer): Item[] {
    const items: Item[] = [];
    let start = 0;
    for (let end = data.indexOf(LF); end >= 0; end = data.indexOf(LF, start)) {
      this.#keep(data.subarray(start, end));
      const item = this.#endLine();
      if (item) items.push(item);
      start = end + 1;
    }
    if (start < data.length) this.#keep(data.subarray(start));
    return items;
  }

  /** At the end of input. */
  finish(): Item[] {
    return this.#size > 0 ? [{ tail: { bytes: this.#size } }] : [];
  }

  #keep(part: Buffer): void {
    this.#size += part.length;
    if (this.#skipping) {
      this.#skipping.tail = last(Buffer.concat([this.#skipping.tail, last(part)]));
      return;
    }
    this.#parts.push(part);
    // A carriage return and a byte order mark do not count, and may still be told from the rest.
    if (this.#size > this.maxFrame + 1 + BOM.length) {
      const line = Buffer.concat(this.#parts);
      this.#skipping = {
        head: Buffer.from(line.subarray(0, HEAD + BOM.length)),
        tail: Buffer.from(last(line)),
      };
      this.#parts = [];
    }
  }

  #endLine(): Item | undefined {
    const first = this.#first;
    const skipped = this.#skipping;
    let size = this.#size;
    let line = this.#parts.length === 1 ? this.#parts[0] : Buffer.concat(this.#parts);
    this.#first = false;
    this.#skipping = undefined;
    this.#size = 0;
    this.#parts = [];
    if (skipped) {
      let { head, tail } = skipped;
      if (first && startsWithBom(head)) {
        size -= BOM.length;
        head = head.subarray(BOM.length);
      }
      if (tail.at(-1) === CR) {
        size -= 1;
        tail = tail.subarray(0, -1);
      }
      return tooLong(size, head, tail);
    }
    if (first && startsWithBom(line)) line = line.subarray(BOM.length);
    if (line.at(-1) === CR) line = line.subarray(0, -1);
    return line.length > this.maxFrame ? tooLong(line.length, line, line) : judge(line);
  }
}

const last = (part: Buffer): Buffer => part.subarray(Math.max(0, part.length - TAIL - 1));

const startsWithBom = (line: Buffer): boolean => line.subarray(0, BOM.length).equals(BOM);

function tooLong(bytes: number, head: Buffer, tail: Buffer): Item {
  const kept = tail.subarray(Math.max(0, tail.length - TAIL));
  return { tooLong: { bytes, ...salvage(head.subarray(0, HEAD), kept) } };
}

function judge(line: Buffer): Item | undefined {
  let [start, end] = [0, line.length];
  while (start < end && isBlank(line[start])) start += 1;
  while (end > start && isBlank(line[end - 1])) end -= 1;
  if (start === end) return undefined;
  const text = line.subarray(start, end);
  if (!isUtf8(text)) return { junk: { kind: "utf8", bytes: line.length } };
  if (text[0] === 0x7b) return { frame: text.toString() };
  const batch = text[0] === 0x5b && (text[1] === 0x7b || text[1] === 0x5d);
  return { junk: { kind: batch ? "batch" : "text", bytes: line.length } };
}

const isBlank = (byte: number): boolean => byte === 0x20 || byte === 0x09;
