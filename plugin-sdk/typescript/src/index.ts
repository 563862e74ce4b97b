/**
 * Write outboard plugins in TypeScript or JavaScript.
 *
 * ```ts
 * import { Plugin } from "outboard-plugin";
 *
 * await new Plugin("echo", "1.0.0").method("echo", (params) => params).run();
 * ```
 *
 * A plugin is a process that a supervisor starts. It reads one JSON object a line on stdin and writes one a line on
 * stdout. This package does the protocol's part; what is left is one function for each method.
 * `outboard-plugin/testing` runs a plugin against a host in memory.
 *
 * @packageDocumentation
 */

import { takeIfSupervised } from "./stdio.js";

export { type Call, currentCall } from "./call.js";
export { Cancelled, HostGone, InvalidParams, PluginError } from "./errors.js";
export type { EventHandler, PluginEvent } from "./events.js";
export type { CallOptions, Host, Level, State } from "./host.js";
export {
  type Handler,
  type Hook,
  type MethodOptions,
  type Parse,
  Plugin,
  type PluginOptions,
} from "./plugin.js";

takeIfSupervised();
