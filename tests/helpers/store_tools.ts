/** What `check`, `repair` and `export` do on a directory of this machine, for tests of what they find, leave and give. */
import assert from "node:assert/strict";
import { StoredChannel } from "../../src/cli/stored_messages.ts";
import { pickRuntime } from "../../src/runtime/pick.ts";
import { inspectStore, type StoreInspection } from "../../src/server/tools/inspect_store.ts";
import { repairStore } from "../../src/server/tools/repair_store.ts";
import { CRC_POLYNOMIAL_IEEE } from "../../src/store/file/crc.ts";

const { disk } = await pickRuntime();

/** All of the directory with the usual polynomial, unless something else is said. */
export type ToolChoice = Partial<Parameters<typeof inspectStore>[1]>;

/** What `check` finds, and what `repair` would do. */
export function inspect(dir: string, choice: ToolChoice = {}): StoreInspection {
  const options = { dir, channel: undefined, crcPolynomial: CRC_POLYNOMIAL_IEEE, drop: undefined, ...choice };
  return inspectStore(disk, options, false, () => {});
}

/** What `repair` says that it has done. */
export function repair(dir: string, choice: ToolChoice = {}): Promise<string[]> {
  return repairStore(disk, dir, inspect(dir, choice), choice.crcPolynomial ?? CRC_POLYNOMIAL_IEEE, () => {});
}

/** first, last, count, bytes of the first channel, as `check` has them. */
export function figuresOf(dir: string): number[] {
  const [channel] = inspect(dir).report.channels;
  assert.ok(channel !== undefined);
  return [channel.firstSequence, channel.lastSequence, channel.messageCount, channel.byteCount];
}

/** What `export` gives of "foo": its messages as `SEQUENCE=TEXT`, and the damage that it met. */
export async function exported(dir: string): Promise<{ messages: string[]; damage: readonly string[] }> {
  const channel = new StoredChannel(disk, {
    dir,
    channel: "foo",
    crcPolynomial: CRC_POLYNOMIAL_IEEE,
    firstSequence: 0,
    encryptionKey: undefined,
  });
  const messages: string[] = [];
  const decoder = new TextDecoder();
  await channel.read(({ sequence, data }) => messages.push(`${sequence}=${decoder.decode(data)}`) > 0, () => {});
  return { messages, damage: channel.damage };
}
