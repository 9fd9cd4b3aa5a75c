/**
 * A map whose keys are bytes, looked up by a range of a buffer: no string is made to find a channel or a client by what
 * stands in a message. Keys are added rarely and looked up all the time.
 */
import { equalsRange } from "./bytes.ts";
import { KeyedHash } from "./keyed_hash.ts";

interface Node<Value> {
  readonly hash: number;
  readonly key: Uint8Array;
  value: Value;
  next: Node<Value> | undefined;
}

const BUCKET_COUNT_FIRST = 64;

export class BytesMap<Value> {
  readonly #hash: KeyedHash;
  #buckets: (Node<Value> | undefined)[] = new Array(BUCKET_COUNT_FIRST).fill(undefined);
  #size = 0;

  /** `seed` keeps a client from choosing keys that all fall into one bucket. */
  constructor(seed: number) {
    this.#hash = new KeyedHash(seed);
  }

  get size(): number {
    return this.#size;
  }

  get(bytes: Uint8Array, start = 0, end = bytes.length): Value | undefined {
    const hash = this.#hash.ofRange(bytes, start, end);
    let node = this.#buckets[this.#slot(hash)];
    while (node !== undefined) {
      if (node.hash === hash && equalsRange(node.key, bytes, start, end)) return node.value;
      node = node.next;
    }
    return undefined;
  }

  /** `key` must not change afterwards. */
  set(key: Uint8Array, value: Value): void {
    const hash = this.#hash.ofRange(key, 0, key.length);
    for (let node = this.#buckets[this.#slot(hash)]; node !== undefined; node = node.next) {
      if (node.hash === hash && equalsRange(node.key, key, 0, key.length)) {
        node.value = value;
        return;
      }
    }
    if (this.#size >= this.#buckets.length) this.#grow();
    const slot = this.#slot(hash);
    this.#buckets[slot] = { hash, key, value, next: this.#buckets[slot] };
    this.#size++;
  }

  delete(bytes: Uint8Array, start = 0, end = bytes.length): boolean {
    const hash = this.#hash.ofRange(bytes, start, end);
    const slot = this.#slot(hash);
    let previous: Node<Value> | undefined;
    for (let node = this.#buckets[slot]; node !== undefined; node = node.next) {
      if (node.hash === hash && equalsRange(node.key, bytes, start, end)) {
        if (previous === undefined) this.#buckets[slot] = node.next;
        else previous.next = node.next;
        this.#size--;
        return true;
      }
      previous = node;
    }
    return false;
  }

  #slot(hash: number): number {
    return (hash ^ (hash >>> 15)) & (this.#buckets.length - 1);
  }

  #grow(): void {
    const old = this.#buckets;
    this.#buckets = new Array(old.length * 4).fill(undefined);
    for (let node of old) {
      while (node !== undefined) {
        const following: Node<Value> | undefined = node.next;
        const slot = this.#slot(node.hash);
        node.next = this.#buckets[slot];
        this.#buckets[slot] = node;
        node = following;
      }
    }
  }
}
