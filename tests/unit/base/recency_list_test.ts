import assert from "node:assert/strict";
import { test } from "node:test";
import { type RecencyLinks, RecencyList } from "../../../src/base/recency_list.ts";

class Member implements RecencyLinks<Member> {
  older: Member | undefined = undefined;
  newer: Member | undefined = undefined;
}

test("a recency list has the order of a list whose used members go last", () => {
  let seed = 11;
  const random = (limit: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return Math.floor((seed / 0x8000_0000) * limit);
  };
  const list = new RecencyList<Member>();
  const model: Member[] = [];
  for (let step = 0; step < 5000; step++) {
    const kind = random(3);
    if (kind === 0 || model.length === 0) {
      const member = new Member();
      list.add(member);
      model.push(member);
    } else {
      const [member] = model.splice(random(model.length), 1) as [Member];
      if (kind === 1) {
        list.renew(member);
        model.push(member);
      } else {
        list.remove(member);
        assert.deepEqual([member.older, member.newer], [undefined, undefined]);
      }
    }
    assert.equal(list.size, model.length);
    assert.equal(list.newest, model.at(-1));
    let at = list.oldest;
    for (const [i, member] of model.entries()) {
      assert.equal(at, member);
      assert.equal(at?.older, model[i - 1]);
      at = at?.newer;
    }
    assert.equal(at, undefined);
  }
});
