/** Asks web pages how they are: on request, and now and then for those that the configuration names. */

import { InvalidParams, Plugin } from "outboard-plugin";

interface Config {
  watch: string[];
  everySeconds: number;
  timeoutMs: number;
}

interface Verdict {
  url: string;
  up: boolean;
  status?: number;
  ms: number;
  error?: string;
}

function readConfig(value: unknown): Config {
  const {
    watch = [],
    every_seconds = 60,
    timeout_ms = 5000,
    ...rest
  } = value as Record<string, unknown>;
  const [unknown] = Object.keys(rest);
  if (unknown !== undefined) throw new TypeError(`${unknown} is unknown`);
  if (typeof every_seconds !== "number" || every_seconds < 1)
    throw new TypeError("every_seconds is at least 1");
  if (typeof timeout_ms !== "number" || timeout_ms < 1)
    throw new TypeError("timeout_ms is at least 1");
  return {
    watch: readUrls(watch, "watch"),
    everySeconds: every_seconds,
    timeoutMs: timeout_ms,
  };
}

function readUrls(value: unknown, where: string): string[] {
  if (!Array.isArray(value)) throw new InvalidParams(`${where} is a list of addresses`);
  return value.map((url: unknown) => {
    if (typeof url !== "string" || !/^https?:/.test(url) || !URL.canParse(url)) {
      throw new InvalidParams(`${where}: ${JSON.stringify(url)} is no address of a web page`);
    }
    return url;
  });
}

/** Gives a verdict on every page that can be had; throws when `signal` is aborted, and then only. */
async function check(url: string, timeoutMs: number, signal: AbortSignal): Promise<Verdict> {
  const begin = performance.now();
  const ms = (): number => Math.round(performance.now() - begin);
  try {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const { status, body } = await fetch(url, {
      redirect: "follow",
      signal: limit,
    });
    await body?.cancel();
    return { url, up: status < 500, status, ms: ms() };
  } catch (error) {
    signal.throwIfAborted();
    const { name, message, cause } = error as Error;
    const late = name === "TimeoutError";
    const why = late
      ? `no answer in ${timeoutMs} ms`
      : cause instanceof Error
        ? cause.message
        : message;
    return { url, up: false, ms: ms(), error: why };
  }
}

export const plugin = new Plugin<Config>("webcheck", "1.0.0", {
  config: readConfig,
  concurrency: 16,
});

const down = new Set<string>();
let stop = new AbortController();

/** One round over the watched pages after the other, until `signal` is aborted. */
async function watch(
  { watch, everySeconds, timeoutMs }: Config,
  signal: AbortSignal,
): Promise<void> {
  for (;;) {
    const verdicts = await Promise.all(watch.map((url) => check(url, timeoutMs, signal)));
    for (const verdict of verdicts) await tell(verdict);
    if (down.size > 0) plugin.host.status("degraded", `down: ${[...down].join(", ")}`);
    else plugin.host.status("ready");
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(resolve, everySeconds * 1000);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(signal.reason as Error);
      });
    });
  }
}

async function tell(verdict: Verdict): Promise<void> {
  const { url, up } = verdict;
  if (up !== down.has(url)) return; // As it was.
  if (up) down.delete(url);
  else down.add(url);
  console.log(`${url} is ${up ? "up again" : `down: ${verdict.error ?? verdict.status}`}`);
  // Only where the manifest lets it: the host would refuse, and log each refusal.
  if (plugin.host.capabilities.publish?.length) {
    await plugin.host.publish(up ? "web.up" : "web.down", verdict).catch(console.error);
  }
}

function startWatching(): void {
  stop.abort();
  stop = new AbortController();
  down.clear();
  const { signal } = stop;
  if (plugin.config.watch.length === 0) return;
  watch(plugin.config, signal).catch((error: unknown) => {
    if (!signal.aborted) console.error(error);
  });
}

plugin
  .publishes("web.up", "web.down")
  .onStart(startWatching)
  .onConfig(startWatching)
  .onShutdown(() => stop.abort())
  .method<string[], Verdict[]>(
    "check",
    {
      description: "Asks pages how they are; tells of each that has answered.",
      params: {
        type: "object",
        properties: { urls: { type: "array", items: { type: "string" } } },
        required: ["urls"],
      },
      parse: (params) => readUrls((params as { urls?: unknown }).urls, "urls"),
      idempotent: true,
    },
    async (urls, call) => {
      let done = 0;
      return Promise.all(
        urls.map(async (url) => {
          const verdict = await check(url, plugin.config.timeoutMs, call.signal);
          call.progress(++done, urls.length, url);
          return verdict;
        }),
      );
    },
  );
