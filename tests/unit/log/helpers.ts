/** A file system in memory and a host with a fixed clock, for tests of the log. */
import type { LogHost } from "../../../src/log/open_log.ts";
import { type AppendFile, type Files, RuntimeError } from "../../../src/runtime/types.ts";

/** Files in memory that can be told to fail. */
export class FakeFiles implements Files {
  readonly contents = new Map<string, { text: string }>();
  /** Operations that fail, by name. */
  readonly failing = new Set<"openAppend" | "rename" | "write">();
  openCount = 0;

  #fail(operation: "openAppend" | "rename" | "write"): void {
    if (this.failing.has(operation)) throw new RuntimeError("NO_SPACE", `${operation} refused`);
  }

  text(path: string): string {
    return this.contents.get(path)?.text ?? "";
  }

  readText(path: string): string {
    return this.text(path);
  }

  openAppend(path: string): AppendFile {
    this.#fail("openAppend");
    const content = this.contents.get(path) ?? { text: "" };
    this.contents.set(path, content);
    this.openCount++;
    const decoder = new TextDecoder();
    return {
      sizeBytes: new TextEncoder().encode(content.text).length,
      write: (bytes) => {
        this.#fail("write");
        content.text += decoder.decode(bytes);
      },
      close: () => {
        this.openCount--;
      },
    };
  }

  writeText(path: string, text: string): void {
    this.contents.set(path, { text });
  }

  exists(path: string): boolean {
    return this.contents.has(path);
  }

  remove(path: string): void {
    this.contents.delete(path);
  }

  rename(from: string, to: string): void {
    this.#fail("rename");
    const content = this.contents.get(from);
    if (content === undefined) throw new RuntimeError("NOT_FOUND", "rename refused");
    this.contents.delete(from);
    this.contents.set(to, content);
  }

  makeDirectory(): void {}
}

/** A host at one instant, process 15865. */
export interface FakeHost extends LogHost {
  readonly files: FakeFiles;
  /** What was written to stderr. */
  readonly err: string[];
  /** The instant, nanoseconds since 1970. */
  nowNs: bigint;
}

/** 2026/11/20 20:56:16.684174123 UTC. */
export const NOW_NS = BigInt(Date.UTC(2026, 10, 20, 20, 56, 16)) * 1_000_000n + 684_174_123n;

export function makeHost(
  settings: { errIsTerminal?: boolean; zoneMinutes?: number; openSyslog?: LogHost["openSyslog"] } = {},
): FakeHost {
  const err: string[] = [];
  const host: FakeHost = {
    nowNs: NOW_NS,
    err,
    files: new FakeFiles(),
    clock: {
      wallNs(out) {
        out.high = Number(host.nowNs >> 32n);
        out.low = Number(host.nowNs & 0xffffffffn);
      },
    },
    process: {
      pid: 15865,
      programName: "stanchion",
      errIsTerminal: settings.errIsTerminal ?? false,
      writeErr: (text) => {
        err.push(text);
      },
      zoneOffsetMinutes: () => settings.zoneMinutes ?? 0,
    },
    openSyslog: settings.openSyslog ?? (() => {
      throw new Error("this test has no syslog");
    }),
  };
  return host;
}
