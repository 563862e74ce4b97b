/** Runs a session over a wire: reading, backpressure, signals, the end. */

import { Framer } from "./frames.js";
import { Outlet } from "./outlet.js";
import type { Plugin } from "./plugin.js";
import { Session } from "./session.js";
import type { Wire } from "./stdio.js";

/** Milliseconds for what is still to be written. A host that does not read by then will not. */
const LAST_WRITES = 500;

/** Serves until the host says `exit` or there is nothing more to read. */
export async function serve(
  plugin: Plugin,
  wire: Wire,
  options: { signals?: boolean } = {},
): Promise<void> {
  const outlet = new Outlet(wire.output);
  const framer = new Framer();
  plugin.host.attach(outlet);
  const session = new Session(plugin, outlet, framer);
  const { input, output } = wire;
  input.on("data", (data: Buffer) => {
    session.take(framer.feed(data));
    // The pipe fills, and the host waits, until it reads itself.
    if (outlet.isFull) {
      input.pause();
      output.once("drain", () => input.resume());
    }
  });
  const end = (): void => session.end();
  const unplugged = (): void => {
    // What was asked of the host will not be answered any more.
    plugin.host.detach();
    session.end();
  };
  input.on("end", unplugged);
  input.on("error", unplugged);
  // An author's own handler is left alone.
  const signals = options.signals === true && process.listenerCount("SIGTERM") === 0;
  if (signals) process.on("SIGTERM", end);
  try {
    await session.over;
    input.pause();
    const timer = new Promise((resolve) => setTimeout(resolve, LAST_WRITES).unref());
    await Promise.race([outlet.end(), timer]);
  } finally {
    plugin.host.detach();
    if (signals) process.off("SIGTERM", end);
  }
}
