/** `console`, to the host. */

import { formatWithOptions } from "node:util";

import type { Host, Level } from "./host.js";

/** Characters of a log line, at most. */
export const LONGEST = 64 << 10;

const LEVELS = {
  trace: "trace",
  debug: "debug",
  log: "info",
  info: "info",
  warn: "warn",
  error: "error",
} as const satisfies Record<string, Level>;

/** Sends `console.log` and its kin as `$/log`, each with its level. Gives what undoes it. */
export function captureConsole(host: Host): () => void {
  const before = Object.keys(LEVELS).map((name) => [name, Reflect.get(console, name)] as const);
  for (const [name, level] of Object.entries(LEVELS)) {
    Reflect.set(console, name, (...args: unknown[]) => {
      let message = formatWithOptions({ colors: false }, ...args);
      if (name === "trace") message += `\n${new Error().stack?.split("\n").slice(2).join("\n")}`;
      host.log(level, message.slice(0, LONGEST));
    });
  }
  return () => {
    for (const [name, method] of before) Reflect.set(console, name, method);
  };
}
