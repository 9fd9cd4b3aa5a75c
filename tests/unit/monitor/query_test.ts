import assert from "node:assert/strict";
import { test } from "node:test";
import {
  boolParameter,
  corePaging,
  intParameter,
  QueryError,
  streamingPaging,
  subscriptionsParameter,
  uint64Parameter,
} from "../../../src/monitor/query.ts";

const query = (text: string) => new URLSearchParams(text);
const refuses = (work: () => unknown, text: string) =>
  assert.throws(work, (error) => error instanceof QueryError && error.message === text);

test("operations.md 1.1: the words of a boolean, nothing else", () => {
  for (const word of ["1", "t", "T", "true", "TRUE", "True"]) {
    assert.equal(boolParameter(query(`x=${word}`), "x"), true);
  }
  for (const word of ["0", "f", "F", "false", "FALSE", "False", ""]) {
    assert.equal(boolParameter(query(`x=${word}`), "x"), false);
  }
  for (const word of ["yes", "on", "tRUE", "2"]) {
    refuses(
      () => boolParameter(query(`x=${word}`), "x"),
      `Error decoding boolean for 'x': strconv.ParseBool: parsing "${word}": invalid syntax`,
    );
  }
});

test("operations.md 5.1: integers as Go reads them", () => {
  assert.equal(intParameter(query("x=%2B12"), "x"), 12);
  assert.equal(intParameter(query("x=-9223372036854775808"), "x"), -(2 ** 63));
  assert.equal(intParameter(query(""), "x"), 0);
  for (const text of ["1.5", "0x1", "1_0", "--1", " 1"]) {
    refuses(
      () => intParameter(new URLSearchParams({ x: text }), "x"),
      `Error decoding int for 'x': strconv.Atoi: parsing "${text}": invalid syntax`,
    );
  }
  refuses(
    () => intParameter(query("x=9223372036854775808"), "x"),
    `Error decoding int for 'x': strconv.Atoi: parsing "9223372036854775808": value out of range`,
  );
  assert.equal(uint64Parameter(query("x=18446744073709551615"), "x"), 2 ** 64);
  refuses(
    () => uint64Parameter(query("x=18446744073709551616"), "x"),
    `Error decoding uint64 for 'x': strconv.ParseUint: parsing "18446744073709551616": value out of range`,
  );
  refuses(
    () => uint64Parameter(query("x=%2B1"), "x"),
    `Error decoding uint64 for 'x': strconv.ParseUint: parsing "+1": invalid syntax`,
  );
});

test("operations.md 5.5, 5.8: what is no number counts as not given on streaming pages, and is an error on core pages", () => {
  assert.deepEqual(streamingPaging(query("limit=abc&offset=-4")), { offset: 0, limit: 1024 });
  assert.deepEqual(streamingPaging(query("limit=7&offset=3")), { offset: 3, limit: 7 });
  assert.deepEqual(streamingPaging(query("limit=0")), { offset: 0, limit: 1024 });
  assert.deepEqual(corePaging(query("limit=-1&offset=-4")), { offset: 0, limit: 1024 });
  assert.throws(() => corePaging(query("limit=abc")), QueryError);
});

test("operations.md 5.8: subs is a boolean or the word detail", () => {
  assert.equal(subscriptionsParameter(query("subs=DeTail")), "detail");
  assert.equal(subscriptionsParameter(query("subs=T")), "list");
  assert.equal(subscriptionsParameter(query("")), "none");
  assert.throws(() => subscriptionsParameter(query("subs=details")), QueryError);
});
