/** A FILE store on a simulated disk, whose machine a test moves. It may be opened again and again, as by one process after the other. */
import assert from "node:assert/strict";
import { FileStore } from "../../src/store/file/file_store.ts";
import { FILE_STORE_DEFAULTS, type FileStoreOptions } from "../../src/store/file/options.ts";
import {
  LOOKUP_FOUND,
  LOOKUP_LATER,
  type LookupResult,
  type MessageStore,
  type MessageView,
  type RecoveredState,
} from "../../src/store/types.ts";
import { decodeMsgProto, MsgProtoView } from "../../src/wire/stan_hot.ts";
import { stanSubjects } from "../../src/wire/stan_subjects.ts";
import { SimulatedDisk } from "../simulation/disk.ts";
import { Machine } from "../simulation/machine.ts";
import { Random } from "../simulation/random.ts";
import { RecordingLog } from "./file_store.ts";

/** Where the store is. */
export const SIMULATED_DIR = "/data";
const LIMITS = { maxSubscriptions: 0, maxMessages: 0, maxBytes: 0, maxAgeMs: 0, maxInactivityMs: 0 };

export class SimulatedStore {
  readonly machine = new Machine();
  readonly disk: SimulatedDisk;
  log = new RecordingLog();
  store!: FileStore;

  constructor(seed = 1) {
    this.disk = new SimulatedDisk(this.machine, new Random(seed));
  }

  /** The next process, which has nothing in memory and has read nothing yet. */
  boot(options: Partial<FileStoreOptions> = {}): void {
    this.disk.reboot();
    this.store = new FileStore({ maxChannels: 0, forChannel: () => LIMITS }, {
      ...FILE_STORE_DEFAULTS,
      dir: SIMULATED_DIR,
      ...options,
    }, {
      disk: this.disk,
      clock: this.machine.clock,
      scheduler: this.machine.scheduler,
      log: this.log,
      runProgram: () => {},
    });
  }

  /** The next process. It has recovered, and its directories are safe. */
  async open(options: Partial<FileStoreOptions> = {}): Promise<RecoveredState | undefined> {
    this.boot(options);
    const recovered = await this.done(this.store.recover());
    if (recovered === undefined) this.store.init(stanSubjects("sim"));
    await this.done(this.store.flush());
    return recovered;
  }

  /** Waits while time goes on. */
  async done<Result>(work: Promise<Result> | undefined): Promise<Result | undefined> {
    let isOver = work === undefined;
    work?.then(() => isOver = true, () => isOver = true);
    assert.ok(await this.machine.until(() => isOver, 10_000), "it never ends");
    return await work;
  }

  /** The first letters of all messages, from the first one on; a dot for one that cannot be had, if `mayLack` says so. */
  async lettersOf(messages: MessageStore, mayLack: (result: LookupResult) => boolean): Promise<string> {
    const view = newMessageView();
    const message = new MsgProtoView();
    let text = "";
    for (let sequence = messages.firstSequence; sequence <= messages.lastSequence; sequence++) {
      let result = messages.lookup(sequence, view);
      await this.machine.until(() => (result = messages.lookup(sequence, view)) !== LOOKUP_LATER, 1000);
      if (result !== LOOKUP_FOUND && mayLack(result)) {
        text += ".";
        continue;
      }
      assert.equal(result, LOOKUP_FOUND, `message ${sequence}`);
      assert.ok(decodeMsgProto(view.buffer, view.start, view.end, message));
      text += String.fromCharCode(view.buffer[message.dataStart]!);
    }
    return text;
  }
}

export function newMessageView(): MessageView {
  return { buffer: new Uint8Array(0), start: 0, end: 0 };
}
