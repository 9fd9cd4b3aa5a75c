/**
 * Invariants that stop the process when they break: going on could write a store we no longer understand.
 */

/** A broken invariant: a defect of this program, never of its input. */
export class AssertionError extends Error {
  override readonly name = "AssertionError";
}

/** Throws {@link AssertionError} with `text` unless `condition` holds. Always on. */
export function assert(condition: boolean, text: string): asserts condition {
  if (!condition) throw new AssertionError(text);
}

/** For the branch that cannot be reached: the compiler proves it, the process stops if it is wrong. */
export function unreachable(value: never, text: string): never {
  throw new AssertionError(`${text}: ${String(value)}`);
}
