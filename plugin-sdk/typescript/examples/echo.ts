import { Plugin } from "outboard-plugin";

await new Plugin("echo", "1.0.0").method("echo", (params) => params).run();
