/** Both ciphers against published vectors and against each other's implementations. */
import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Aead, createAes, createChaCha, createPackagedChaCha } from "../../../../src/store/crypt/ciphers.ts";
import { TAG_BYTES } from "../../../../src/store/crypt/sealed.ts";
import { SeededRandom } from "../../../conformance/store/random.ts";

const ALL: readonly (readonly [string, Aead])[] = [
  ["AES", createAes()],
  ["CHACHA of the platform, if it has one", createChaCha()],
  ["CHACHA of the package", createPackagedChaCha()],
];

function hex(text: string): Uint8Array {
  const digits = text.replaceAll(/\s/g, "");
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}

/** Sealed in the middle of a larger buffer, so that a wrong offset shows. */
function seal(aead: Aead, key: Uint8Array, nonce: Uint8Array, plain: Uint8Array): Uint8Array {
  const source = new Uint8Array(plain.length + 10).fill(0xee);
  source.set(plain, 7);
  const out = new Uint8Array(plain.length + TAG_BYTES + 8).fill(0xaa);
  const end = aead.seal(key, nonce, source, 7, 7 + plain.length, out, 5);
  assert.equal(end, 5 + plain.length + TAG_BYTES);
  assert.deepEqual(out.slice(0, 5), new Uint8Array(5).fill(0xaa));
  assert.deepEqual(out.slice(end), new Uint8Array(3).fill(0xaa));
  return out.slice(5, end);
}

/** Undefined: refused, and then not a byte was written. */
function open(aead: Aead, key: Uint8Array, nonce: Uint8Array, sealed: Uint8Array): Uint8Array | undefined {
  const source = new Uint8Array(sealed.length + 10).fill(0xee);
  source.set(sealed, 3);
  const length = sealed.length - TAG_BYTES;
  const out = new Uint8Array(length + 9).fill(0xaa);
  const isOpen = aead.open(key, nonce, source, 3, 3 + sealed.length, out, 4);
  const around = out.slice();
  if (isOpen) around.fill(0xaa, 4, 4 + length);
  assert.deepEqual(around, new Uint8Array(length + 9).fill(0xaa));
  return isOpen ? out.slice(4, 4 + length) : undefined;
}

const SUNSCREEN = new TextEncoder().encode(
  "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.",
);

test("RFC 8439 2.8.2: the vector of the AEAD", () => {
  const key = Uint8Array.from({ length: 32 }, (_, i) => 0x80 + i);
  const nonce = hex("07000000 4041424344454647");
  const ciphertext = hex(`
    d31a8d34648e60db7b86afbc53ef7ec2 a4aded51296e08fea9e2b5a736ee62d6
    3dbea45e8ca9671282fafb69da92728b 1a71de0a9e060b2905d6a5b67ecd3b36
    92ddbd7f2d778b8c9803aee328091b58 fab324e4fad675945585808b4831d7bc
    3ff4def08e4b7a9de576d26586cec64b 6116`);
  const tag = hex("1ae10b594f09e26a7e902ecbd0600691");
  // The vector has associated data, the format has none; it changes the tag only.
  const whole = chacha20poly1305(key, nonce, hex("50515253c0c1c2c3c4c5c6c7")).encrypt(SUNSCREEN);
  assert.deepEqual(whole, Uint8Array.from([...ciphertext, ...tag]));
  for (const aead of [createChaCha(), createPackagedChaCha()]) {
    assert.deepEqual(seal(aead, key, nonce, SUNSCREEN).slice(0, SUNSCREEN.length), ciphertext);
  }
});

test("RFC 8439 2.4.2: the vector of the cipher, which an AEAD begins at block 1 as well", () => {
  const key = Uint8Array.from({ length: 32 }, (_, i) => i);
  const nonce = hex("000000000000004a00000000");
  const ciphertext = hex(`
    6e2e359a2568f98041ba0728dd0d6981 e97e7aec1d4360c20a27afccfd9fae0b
    f91b65c5524733ab8f593dabcd62b357 1639d624e65152ab8f530c359f0861d8
    07ca0dbf500d6a6156a38e088a22b65e 52bc514d16ccf806818ce91ab7793736
    5af90bbf74a35be6b40b8eedf2785e42 874d`);
  for (const aead of [createChaCha(), createPackagedChaCha()]) {
    assert.deepEqual(seal(aead, key, nonce, SUNSCREEN).slice(0, SUNSCREEN.length), ciphertext);
  }
});

test("the vectors 13 to 15 of AES-256-GCM", () => {
  const zeros = new Uint8Array(32);
  const vectors: readonly (readonly [Uint8Array, string, string, string, string])[] = [
    [zeros, "000000000000000000000000", "", "", "530f8afbc74536b9a963b4f1c4cb738b"],
    [
      zeros,
      "000000000000000000000000",
      "00000000000000000000000000000000",
      "cea7403d4d606b6e074ec5d3baf39d18",
      "d0d1c8a799996bf0265b98b5d48ab919",
    ],
    [
      hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"),
      "cafebabefacedbaddecaf888",
      `d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72
       1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255`,
      `522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa
       8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad`,
      "b094dac5d93471bdec1a502270e3cc6c",
    ],
  ];
  const aes = createAes();
  for (const [key, nonce, plain, ciphertext, tag] of vectors) {
    const sealed = seal(aes, key, hex(nonce), hex(plain));
    assert.deepEqual(sealed, hex(ciphertext + tag));
    assert.deepEqual(open(aes, key, hex(nonce), sealed), hex(plain));
  }
});

for (const [name, aead] of ALL) {
  test(`${name}: what is sealed opens, in sizes that slide over blocks; a changed bit does not`, () => {
    const random = new SeededRandom(8439);
    const key = random.bytes(32);
    const sizes = [...Array(131).keys(), 255, 256, 257, 1023, 1024, 1025, 65_535, 65_537];
    for (const size of sizes) {
      const plain = random.bytes(size);
      const nonce = random.bytes(12);
      const sealed = seal(aead, key, nonce, plain);
      assert.deepEqual(open(aead, key, nonce, sealed), plain, `${size} bytes`);
      const bit = random.below(sealed.length * 8);
      sealed[bit >> 3]! ^= 1 << (bit & 7);
      assert.equal(open(aead, key, nonce, sealed), undefined, `bit ${bit} of ${size} bytes`);
      sealed[bit >> 3]! ^= 1 << (bit & 7);
      nonce[random.below(12)]! ^= 1;
      assert.equal(open(aead, key, nonce, sealed), undefined, `another nonce, ${size} bytes`);
    }
  });
}

test("CHACHA of the platform and of the package give the same bytes", () => {
  const random = new SeededRandom(20);
  for (const size of [0, 1, 15, 16, 63, 64, 65, 128, 1000, 20_000]) {
    const key = random.bytes(32);
    const nonce = random.bytes(12);
    const plain = random.bytes(size);
    assert.deepEqual(seal(createChaCha(), key, nonce, plain), seal(createPackagedChaCha(), key, nonce, plain));
  }
});
