/** The plugin {{name}}; `main.ts` is its process. */

import { InvalidParams, Plugin } from "outboard-plugin";

interface Config {
  greeting: string;
}

function readGreet(params: unknown): { name: string } {
  const { name } = (params ?? {}) as Record<string, unknown>;
  if (typeof name !== "string") throw new InvalidParams("name is a string");
  return { name };
}

function readConfig(value: unknown): Config {
  const { greeting = "hello" } = value as Record<string, unknown>;
  if (typeof greeting !== "string") throw new TypeError("greeting is a string");
  return { greeting };
}

export function plugin() {
  const greet = new Plugin("{{name}}", "0.1.0", { config: readConfig });
  return greet.method(
    "greet",
    { parse: readGreet },
    ({ name }) => `${greet.config.greeting}, ${name}`,
  );
}
