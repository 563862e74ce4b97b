/** The process; everything else is in `webcheck.ts`, where tests can have it. */

import { plugin } from "./webcheck.js";

await plugin.run();
