/** The process's own stdin and stdout, the latter taken away from everybody else. */

import { closeSync, constants, createWriteStream, openSync } from "node:fs";
import { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";
import { isatty } from "node:tty";

/** Where frames come from and go to. */
export interface Wire {
  input: Readable;
  output: Writable;
}

let taken: Wire | undefined;

/**
 * Private streams for frames. From now on descriptor 1 is stderr: for `console`, `process.stdout`, native code and
 * child processes alike. The second time it gives the same.
 */
export function take(): Wire {
  taken ??= takeSocket() ?? { input: process.stdin, output: takeStdout() };
  // What this process starts is no plugin, even where it imports this package.
  delete process.env.OUTBOARD_PROTOCOL;
  delete process.env.OUTBOARD_RPC_FD;
  return taken;
}

/** At import, under a supervisor: so that nothing which runs later can print between the frames. */
export function takeIfSupervised(): void {
  if (process.env.OUTBOARD_PROTOCOL !== undefined) take();
}

function takeSocket(): Wire | undefined {
  const number = process.env.OUTBOARD_RPC_FD ?? "";
  if (!/^[0-9]+$/.test(number)) return undefined;
  const socket = new Socket({
    fd: Number(number),
    readable: true,
    writable: true,
    allowHalfOpen: true,
  });
  return { input: socket, output: socket };
}

function takeStdout(): Writable {
  const flags = constants.O_WRONLY | constants.O_APPEND;
  let own: number;
  try {
    // Node has no dup: opening a descriptor by its name is another way to the same pipe.
    own = openSync("/proc/self/fd/1", flags);
  } catch {
    return keepStdout();
  }
  let elsewhere = "/proc/self/fd/2";
  try {
    closeSync(openSync(elsewhere, flags));
  } catch {
    elsewhere = "/dev/null";
  }
  closeSync(1);
  // The lowest free number is given, and that is 1 again.
  openSync(elsewhere, flags);
  try {
    return new Socket({ fd: own, readable: false, writable: true });
  } catch {
    return createWriteStream("", { fd: own }); // A file.
  }
}

/** A socket cannot be opened by its name. Then what prints through Node, at least, is led elsewhere. */
function keepStdout(): Writable {
  const own = process.stdout;
  Object.defineProperty(process, "stdout", { get: () => process.stderr, configurable: true });
  return own;
}

/** Ends a plugin that somebody started by hand, with a word on what it is. */
export function refuseTerminal(name: string): void {
  if (taken || process.env.OUTBOARD_RPC_FD !== undefined || !isatty(0)) return;
  process.stderr.write(
    `${name}: this is an outboard plugin; a supervisor starts it and speaks to it on stdin.\n` +
      "Name its command in a manifest, then type: outboard run FOLDER-OF-THE-MANIFEST\n",
  );
  process.exit(1);
}
