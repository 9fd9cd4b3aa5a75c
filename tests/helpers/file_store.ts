/** What a FILE store needs around it: the real disk, or a given one, and a log that tests can read. */
import type { LogView } from "../../src/log/types.ts";
import { pickRuntime } from "../../src/runtime/pick.ts";
import type { FileStoreWorld } from "../../src/store/file/file_store.ts";

/** Keeps what was logged. */
export class RecordingLog implements LogView {
  readonly lines: string[] = [];
  readonly debugEnabled = false;
  readonly traceEnabled = false;

  /** The lines above INF. */
  get warnings(): string[] {
    return this.lines.filter((line) => !line.startsWith("[INF]"));
  }

  info(text: string): void {
    this.lines.push(`[INF] ${text}`);
  }
  warn(text: string): void {
    this.lines.push(`[WRN] ${text}`);
  }
  error(text: string): void {
    this.lines.push(`[ERR] ${text}`);
  }
  fatal(text: string): void {
    this.lines.push(`[FTL] ${text}`);
  }
  debug(): void {}
  trace(): void {}
}

/** The world of a store on this machine; parts of it can be replaced. */
export async function fileStoreWorld(
  parts: Partial<FileStoreWorld> = {},
): Promise<FileStoreWorld & { readonly log: LogView }> {
  const { disk, clock, scheduler } = await pickRuntime();
  return {
    disk,
    clock,
    scheduler,
    log: new RecordingLog(),
    runProgram: (path, _args, done) => done("", `no program is run here: ${path}`),
    ...parts,
  };
}
