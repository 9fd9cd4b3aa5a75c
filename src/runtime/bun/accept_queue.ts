/** A longer queue of connections that wait to be accepted, which the runtime has no option for. */
import { openCLibrary } from "./c_library.ts";

/**
 * Connections that the kernel holds until they are accepted. The runtime asks for 512: of a storm of thousands the rest would
 * be reset, or come again a second later. The system's own limit still holds.
 */
const ACCEPT_QUEUE_LENGTH = 4096;

/** Listens again on a listening socket, which changes nothing but the length of its queue. */
export function lengthenAcceptQueue(descriptor: number | undefined): void {
  if (descriptor === undefined || descriptor < 0) return;
  // Where there is no such call the queue stays as it is.
  openCLibrary({ listen: { args: ["i32", "i32"], returns: "i32" } })?.call.listen(descriptor, ACCEPT_QUEUE_LENGTH);
}
