/** Setting a field of the options by its path: what the option table and the readers of files and flags share. */
import { assert } from "../base/assert.ts";
import type { OptionField } from "./option_table.ts";
import type { OptionsDraft } from "./option_types.ts";

function placeOf(draft: OptionsDraft, field: OptionField): { part: object; name: string } {
  const steps = field.split(".");
  const name = steps.pop() ?? "";
  let part: object = draft;
  for (const step of steps) {
    const inner: unknown = Reflect.get(part, step);
    assert(typeof inner === "object" && inner !== null, `option field ${field} has no place`);
    part = inner;
  }
  return { part, name };
}

/** The value that a field has. */
export function getField(draft: OptionsDraft, field: OptionField): unknown {
  const { part, name } = placeOf(draft, field);
  return Reflect.get(part, name);
}

/** Sets a field. The table's test proves that path and type exist; the asserts keep it so. */
export function setField(draft: OptionsDraft, field: OptionField, value: string | number | boolean): void {
  const { part, name } = placeOf(draft, field);
  assert(typeof Reflect.get(part, name) === typeof value, `option field ${field} has another type`);
  Reflect.set(part, name, value);
}
