/**
 * What encryption costs per message: microseconds to seal and to open a payload, per cipher and size, with a nonce drawn for
 * each as in the store; and what the package costs against the platform's ChaCha20-Poly1305 where there is one.
 *
 *     bun tests/bench/ciphers.ts
 *     deno run -A tests/bench/ciphers.ts
 */

import { pickRuntime } from "../../src/runtime/pick.ts";
import { type Aead, createAes, createChaCha, createPackagedChaCha } from "../../src/store/crypt/ciphers.ts";
import { KEY_BYTES, NONCE_BYTES, TAG_BYTES } from "../../src/store/crypt/sealed.ts";

const ROUNDS = 5;
/** Bytes per round: large sizes get fewer turns. */
const ROUND_BYTES = 4_000_000;
const COUNT_MAX = 15_000;

const runtime = await pickRuntime();
const key = new Uint8Array(KEY_BYTES);
runtime.random(key);
const nonce = new Uint8Array(NONCE_BYTES);

/** Microseconds per call, of the best round. */
function measure(size: number, one: () => void): number {
  const count = Math.min(COUNT_MAX, Math.ceil(ROUND_BYTES / size));
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const startedAt = performance.now();
    for (let i = 0; i < count; i++) one();
    best = Math.min(best, (performance.now() - startedAt) * 1000 / count);
  }
  return best;
}

function costs(aead: Aead, size: number): { seal: number; open: number } {
  const plain = new Uint8Array(size).map((_, i) => i * 31);
  const sealed = new Uint8Array(size + TAG_BYTES);
  const opened = new Uint8Array(size);
  const seal = measure(size, () => {
    runtime.random(nonce);
    aead.seal(key, nonce, plain, 0, size, sealed, 0);
  });
  const open = measure(size, () => {
    if (!aead.open(key, nonce, sealed, 0, sealed.length, opened, 0)) throw new Error("does not open");
  });
  return { seal, open };
}

const ciphers: readonly (readonly [string, Aead])[] = [
  ["AES", createAes()],
  ["CHACHA as used", createChaCha()],
  ["CHACHA package", createPackagedChaCha()],
];

console.log(
  `${runtime.version}\nbytes  ${ciphers.map(([name]) => `${name} seal/open us`.padStart(30)).join("")}  CHACHA/AES`,
);
for (const size of [16, 128, 1024, 16_384]) {
  const row = ciphers.map(([, aead]) => costs(aead, size));
  const sum = (i: number) => row[i]!.seal + row[i]!.open; // One per cipher.
  const cells = row.map(({ seal, open }) => `${seal.toFixed(2)} / ${open.toFixed(2)}`.padStart(30)).join("");
  console.log(`${String(size).padStart(5)}  ${cells}  ${(sum(1) / sum(0)).toFixed(2).padStart(10)}`);
}
