import { test } from "node:test";
import assert from "node:assert/strict";
import { bytesOf } from "../../../src/base/bytes.ts";
import {
  ftSubject,
  isChannelNameValid,
  isClientIdValid,
  partitionSubject,
  pingsSubject,
  publishWildcard,
  raftSubject,
  snapshotSubject,
  stanSubjects,
} from "../../../src/wire/stan_subjects.ts";

test("6.1, 6.2: subjects from cluster ID and discover prefix", () => {
  assert.deepEqual(stanSubjects("cid"), {
    clusterId: "cid",
    discovery: "_STAN.discover.cid",
    publish: "_STAN.pub.cid",
    subscribe: "_STAN.sub.cid",
    unsubscribe: "_STAN.unsub.cid",
    close: "_STAN.close.cid",
    subClose: "_STAN.subclose.cid",
    acks: "_STAN.ack.cid",
    nodeId: "",
  });
  assert.equal(stanSubjects("cid", "my.disc", "n").discovery, "my.disc.cid");
  assert.equal(pingsSubject("my.disc.cid"), "my.disc.cid.pings");
  assert.equal(publishWildcard("_STAN.pub.cid"), "_STAN.pub.cid.>");
  assert.equal(ftSubject("cid", "g"), "_STAN.ft.cid.g");
  assert.equal(partitionSubject("cid"), "_STAN.part.cid");
  assert.equal(snapshotSubject("cid", "foo.bar"), "_STAN.snap.cid.foo.bar");
  assert.equal(raftSubject("cid", "node.add"), "_STAN.raft.cid.node.add");
});

test("10.1: channel names", () => {
  const valid = (name: string) => {
    const bytes = bytesOf(`>>${name}>>`);
    return isChannelNameValid(bytes, 2, 2 + name.length);
  };
  for (const name of ["foo", "a", "foo.bar.baz", "a b", " ", "back\\slash", "\u00ff\u0080", "\n", "$x"]) {
    assert.equal(valid(name), true, name);
  }
  for (const name of ["", ".", ".foo", "foo.", "foo..bar", "a/b", "*", ">", "a*b", "foo.>", "foo.*.bar", "a>"]) {
    assert.equal(valid(name), false, name);
  }
});

test("7.1: client IDs", () => {
  for (const id of ["a", "me-1_X", "0", "-", "_"]) assert.equal(isClientIdValid(id), true, id);
  for (const id of ["", "a.b", "a b", "a\n", "\u00e9", "a*", "`", "{", "@", "[", "/", ":"]) {
    assert.equal(isClientIdValid(id), false, id);
  }
});
