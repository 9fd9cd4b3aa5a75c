import { test } from "node:test";
import assert from "node:assert/strict";
import protobuf from "protobufjs";
import {
  CTRL_TYPE,
  RAFT_OPERATION,
  STAN_SCHEMA,
  type StanMessageName,
  START_POSITION,
} from "../../../src/wire/stan_schema.ts";
import { parsedProto } from "./stan_support.ts";

function allTypes(namespace: protobuf.NamespaceBase): protobuf.Type[] {
  return namespace.nestedArray.flatMap((item) => {
    if (item instanceof protobuf.Type) return [item];
    return item instanceof protobuf.Namespace ? allTypes(item) : [];
  });
}

test("4, 5: the descriptor has exactly the messages and fields of the .proto files", () => {
  const types = allTypes(parsedProto());
  assert.deepEqual(types.map((type) => type.name).sort(), Object.keys(STAN_SCHEMA).sort());
  for (const type of types) {
    const fromProto = type.fieldsArray.map((field) => {
      const resolved = field.resolve();
      const kind = resolved.resolvedType instanceof protobuf.Enum
        ? "enum"
        : resolved.resolvedType === null
        ? field.type
        : "message";
      const message = kind === "message" ? resolved.resolvedType!.name : "";
      return [field.id, field.name, kind, message, field.repeated];
    }).sort((a, b) => Number(a[0]) - Number(b[0]));
    const fromDescriptor = STAN_SCHEMA[type.name as StanMessageName].map(([id, name, kind, , message, repeated]) => [
      id,
      name,
      kind === "token" ? "bytes" : kind,
      message ?? "",
      repeated !== undefined,
    ]);
    assert.deepEqual(fromDescriptor, fromProto, type.name);
  }
});

test("properties are not used twice in a message", () => {
  for (const [name, rows] of Object.entries(STAN_SCHEMA)) {
    assert.equal(new Set(rows.map((row) => row[3])).size, rows.length, name);
  }
});

test("4, 5: enum values are those of the .proto files", () => {
  const root = parsedProto();
  const values = (name: string) => Object.values(root.lookupEnum(name).values).sort();
  assert.deepEqual(values("pb.StartPosition"), Object.values(START_POSITION));
  assert.deepEqual(values("spb.CtrlMsg.Type"), Object.values(CTRL_TYPE));
  assert.deepEqual(values("spb.RaftOperation.Type"), Object.values(RAFT_OPERATION));
});
