import assert from "node:assert/strict";
import { test } from "node:test";
import { editDistance, nearestName } from "../../../src/base/suggest.ts";

test("edit distance counts insertions, deletions, replacements and swaps", () => {
  assert.equal(editDistance("", ""), 0);
  assert.equal(editDistance("", "abc"), 3);
  assert.equal(editDistance("abc", "abc"), 0);
  assert.equal(editDistance("abc", "ab"), 1);
  assert.equal(editDistance("abc", "axc"), 1);
  assert.equal(editDistance("abcd", "acbd"), 1);
  assert.equal(editDistance("kitten", "sitting"), 3);
});

test("the nearest name is found, and none when nothing is near", () => {
  const known = ["cluster_id", "cid", "max_age", "max_msgs", "SD", "sd", "p", "port"];
  assert.equal(nearestName("clusterid", known), "cluster_id");
  assert.equal(nearestName("cluster-id", known), "cluster_id");
  assert.equal(nearestName("CID", known), "cid");
  assert.equal(nearestName("max_aeg", known), "max_age");
  assert.equal(nearestName("Sd", ["sd", "SD"]), "sd");
  assert.equal(nearestName("P", known), "p");
  assert.equal(nearestName("x", known), undefined);
  assert.equal(nearestName("bogus", known), undefined);
  assert.equal(nearestName("", known), undefined);
  assert.equal(nearestName("c".repeat(10_000), known), undefined);
});
