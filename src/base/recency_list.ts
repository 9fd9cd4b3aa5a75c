/**
 * What was used, the longest unused first. A chain through its members: giving up the oldest one again and again costs the
 * same whatever else is in it. Of a Set or Map the engines keep what was deleted from its front until it is built anew, and
 * whoever looks for the first member walks over all of that: 3 to 4 us at 20,000 members (tests/bench/recency.ts).
 */

/** Its place in the one list that it may be in. Written by the list only. */
export interface RecencyLinks<Member> {
  older: Member | undefined;
  newer: Member | undefined;
}

export class RecencyList<Member extends RecencyLinks<Member>> {
  #oldest: Member | undefined = undefined;
  #newest: Member | undefined = undefined;
  #size = 0;

  get oldest(): Member | undefined {
    return this.#oldest;
  }

  get newest(): Member | undefined {
    return this.#newest;
  }

  get size(): number {
    return this.#size;
  }

  /** `member` is not in the list. It is the newest one now. */
  add(member: Member): void {
    member.older = this.#newest;
    member.newer = undefined;
    if (this.#newest !== undefined) this.#newest.newer = member;
    else this.#oldest = member;
    this.#newest = member;
    this.#size++;
  }

  /** `member` is in the list. */
  remove(member: Member): void {
    const { older, newer } = member;
    if (older !== undefined) older.newer = newer;
    else this.#oldest = newer;
    if (newer !== undefined) newer.older = older;
    else this.#newest = older;
    member.older = undefined;
    member.newer = undefined;
    this.#size--;
  }

  /** `member` is in the list and was used: it is the newest one now. */
  renew(member: Member): void {
    if (member === this.#newest) return;
    this.remove(member);
    this.add(member);
  }
}
