/** Chooses the adapter of the runtime that runs us; the only file that knows both. */
import type { Runtime } from "./types.ts";

/** Loads the adapter of this runtime. The other one is never evaluated, though both are inside the executable. */
export async function pickRuntime(): Promise<Runtime> {
  // Bun first: programs under it may carry a stand-in for the other global.
  const adapter = "Bun" in globalThis ? await import("./bun/runtime.ts") : await import("./deno/runtime.ts");
  return adapter.createRuntime();
}
