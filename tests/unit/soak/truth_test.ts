/** The soak judges a server, so its judgement is tested: it must see what is wrong, and excuse what is allowed. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CHANNEL_MESSAGES, ChannelTruth, Claim, Violations } from "../../e2e/soak/truth.ts";

/** A channel of which the witness got `count` messages; publish numbers are ten times the sequences. */
function channelOf(count: number): ChannelTruth {
  const channel = new ChannelTruth("c", new Violations());
  for (let sequence = 1; sequence <= count; sequence++) channel.witness(sequence, sequence * 10);
  return channel;
}

function claimOf(channel: ChannelTruth, ...sequences: number[]): Claim {
  const claim = new Claim("claim", channel);
  for (const sequence of sequences) claim.deliver(sequence, false);
  return claim;
}

test("15.2: whatever is missing behind the first delivery is seen", () => {
  const channel = channelOf(6);
  assert.equal(claimOf(channel, 3, 4, 6).missing, 5);
  assert.equal(claimOf(channel, 3, 4, 5).missing, 6);
  assert.equal(claimOf(channel, 3, 4, 5, 6).missing, 0);
  assert.equal(claimOf(channel, 3, 4, 6).hole, 5);
  assert.equal(claimOf(channel, 3, 4, 5).hole, 0);
});

test("26.4: what was published after the response is due, also if nothing came at all", () => {
  const channel = channelOf(6);
  const claim = claimOf(channel);
  assert.equal(claim.missing, 0);
  claim.accepted(45);
  assert.equal(claim.missing, 5);
  claim.deliver(5, true);
  claim.deliver(6, false);
  assert.equal(claim.missing, 0);
});

test("18.2: a first delivery that comes twice is seen, a redelivery is not one", () => {
  const channel = channelOf(2);
  const claim = claimOf(channel, 1);
  claim.deliver(1, true);
  claim.deliver(2, true);
  claim.deliver(2, false);
  assert.equal(channel.violations.count, 0);
  claim.deliver(2, false);
  assert.deepEqual(channel.violations.first, ["claim: message 2 came twice as a first delivery"]);
});

test("21.3: what the channel dropped before it could come is nobody's due, the message behind it is", () => {
  const channel = channelOf(CHANNEL_MESSAGES + 100);
  const claim = claimOf(channel, 1, 2, 101);
  assert.equal(claim.dropped, 98);
  assert.equal(claim.missing, 102);
  assert.equal(claimOf(channel, 1, 2, 201).missing, 151);
});

test("10.7, 11.5: a witness that is skipped, a publish that is stored twice, and an acked one that is not there are seen", () => {
  const channel = channelOf(3);
  channel.witness(5, 50);
  channel.witness(4, 10);
  channel.acked.add(20).add(70);
  channel.checkAcked();
  assert.deepEqual(channel.violations.first, [
    "c: the witness got 5 behind 3",
    "c: publish 10 was stored twice",
    "c: publish 70 was acked and is not there",
  ]);
});
