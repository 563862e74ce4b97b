/**
 * The vectors that every SDK passes.
 *
 * `content-length` framing is left out: plugins speak one JSON object a line, and never read the other.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { DEFAULT_MAX_FRAME, Framer, type Item } from "../src/frames.js";
import { decode } from "../src/messages.js";

interface Chunk {
  text?: string;
  base64?: string;
  repeat?: { text: string; times: number };
}

interface Framing {
  name: string;
  framing: string;
  limits?: { maxFrameBytes: number };
  chunks: Chunk[];
  eof: boolean;
  expect: object[];
}

interface Case {
  name: string;
  level: string;
  input: Chunk[];
  expect: Record<string, any>;
}

function load<T>(name: string): T[] {
  const url = new URL(`../../../protocol/vectors/${name}`, import.meta.url);
  return JSON.parse(readFileSync(url, "utf8")) as T[];
}

function bytes({ text = "", base64, repeat }: Chunk): Buffer {
  if (base64 !== undefined) return Buffer.from(base64, "base64");
  return Buffer.from(repeat ? repeat.text.repeat(repeat.times) : text);
}

function shown(item: Item): object {
  if (!("tooLong" in item)) return item;
  const { request, ...rest } = item.tooLong;
  return { tooLong: rest };
}

const framing = load<Framing>("framing.json").filter((c) => c.framing === "newline");
const messages = load<Case>("messages.json").filter((c) => c.level === "must");

test("there are vectors", () => {
  assert.ok(framing.length >= 30 && messages.length >= 42);
});

for (const cut of ["as given", "whole", "byte by byte"]) {
  for (const { name, limits, chunks, eof, expect } of framing) {
    test(`framing ${name}, ${cut}`, () => {
      const given = chunks.map(bytes);
      const whole = Buffer.concat(given);
      const pieces = {
        "as given": given,
        whole: [whole],
        "byte by byte": [...whole].map((byte) => Buffer.from([byte])),
      };
      const framer = new Framer(limits?.maxFrameBytes ?? DEFAULT_MAX_FRAME);
      const items = pieces[cut as keyof typeof pieces].flatMap((piece) => framer.feed(piece));
      if (eof) items.push(...framer.finish());
      assert.deepEqual(items.map(shown), expect);
    });
  }
}

for (const { name, input, expect } of messages) {
  test(`message ${name}`, () => {
    const text = Buffer.concat(input.map(bytes)).toString().trim();
    const [kind, wanted] = Object.entries(expect)[0];
    if (wanted.result === "@depth127") {
      wanted.result = JSON.parse("[".repeat(127) + "]".repeat(127));
    }
    const { kind: found, ...message } = decode(text);
    assert.equal(found, kind);
    // Only the SDK asks whose request a reject was.
    if ("request" in message) delete (message as { request?: boolean }).request;
    assert.deepEqual(
      kind === "orphanError" ? (message as { error: object }).error : message,
      wanted,
    );
  });
}
