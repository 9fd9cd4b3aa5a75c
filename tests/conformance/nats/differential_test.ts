/**
 * nats-server.md 16, statement 74: 10^5 random steps of subscribe, unsubscribe and publish through parser, router and
 * connections, every delivery compared with what the plain definition of a match says. `NATS_STEPS` steps from
 * `NATS_SEED`.
 */
import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { hasOnlyFullTokens, isSubscriptionSubject, subjectMatches } from "../../../src/base/subject.ts";
import { FakeRuntime, type FakeSocket } from "../../helpers/fake_runtime.ts";
import { createNats } from "../../helpers/nats_server.ts";
import { SeededRandom } from "../store/random.ts";

const STEPS = Number(process.env.NATS_STEPS ?? "100000");
const SEED = Number(process.env.NATS_SEED ?? "1");
const CONNECTION_COUNT = 5;
const SUBSCRIPTION_COUNT_MAX = 60;

interface ModelSubscription {
  readonly owner: number;
  readonly subject: string;
  readonly queue: string;
  readonly sid: string;
  delivered: number;
  max: number;
}

class World {
  readonly runtime = new FakeRuntime();
  readonly nats = createNats(this.runtime.asRuntime());
  readonly random = new SeededRandom(SEED);
  readonly sockets: FakeSocket[] = [];
  readonly echo: boolean[] = [];
  readonly model: ModelSubscription[] = [];
  #sid = 0;

  dial(index: number): void {
    const socket = this.runtime.dial();
    const echo = this.random.below(3) > 0;
    socket.send(`CONNECT {"verbose":false,"pedantic":false,"echo":${echo}}\r\n`);
    this.runtime.turn();
    socket.take();
    this.sockets[index] = socket;
    this.echo[index] = echo;
  }

  token(wild: boolean): string {
    const kind = this.random.below(wild ? 10 : 30);
    if (wild && kind < 2) return "*";
    if (wild && kind === 2) return ">";
    if (!wild && kind === 0) return "*";
    if (!wild && kind === 1) return ">";
    return ["a", "b", "c", "a*", ">x", "d"][this.random.below(6)]!;
  }

  subject(wild: boolean): string {
    const tokens: string[] = [];
    const count = 1 + this.random.below(4);
    for (let i = 0; i < count; i++) tokens.push(this.token(wild));
    return tokens.join(".");
  }

  subscribe(): void {
    const owner = this.random.below(CONNECTION_COUNT);
    const subject = this.subject(true);
    const queue = this.random.below(3) === 0 ? ["q", "r"][this.random.below(2)]! : "";
    const sid = String(++this.#sid);
    const socket = this.sockets[owner]!;
    socket.send(`SUB ${subject} ${queue} ${sid}\r\n`);
    this.runtime.turn();
    if (!isSubscriptionSubject(subject)) {
      assert.equal(socket.take(), "-ERR 'Invalid Subject'\r\n");
      return;
    }
    this.model.push({ owner, subject, queue, sid, delivered: 0, max: 0 });
  }

  unsubscribe(): void {
    if (this.model.length === 0) return;
    const index = this.random.below(this.model.length);
    const subscription = this.model[index]!;
    const max = this.random.below(2) === 0 ? this.random.below(20) : 0;
    this.sockets[subscription.owner]!.send(`UNSUB ${subscription.sid}${max > 0 ? ` ${max}` : ""}\r\n`);
    if (max > subscription.delivered) subscription.max = max;
    else this.model.splice(index, 1);
  }

  reconnect(): void {
    const index = this.random.below(CONNECTION_COUNT);
    const socket = this.sockets[index]!;
    socket.handler!.peerEnded(); // Set by the accept.
    assert.ok(socket.ended);
    for (let i = this.model.length - 1; i >= 0; i--) if (this.model[i]!.owner === index) this.model.splice(i, 1);
    this.dial(index);
  }

  /** One copy was delivered to `subscription`. */
  #count(subscription: ModelSubscription): void {
    subscription.delivered++;
    if (subscription.max > 0 && subscription.delivered >= subscription.max) {
      this.model.splice(this.model.indexOf(subscription), 1);
    }
  }

  publish(step: number): void {
    const publisher = this.random.below(CONNECTION_COUNT);
    let subject = this.subject(false);
    if (this.random.below(20) === 0) subject = subject.replace(/^a|\.b/, "") || ".";
    const payload = `${step}`;
    this.sockets[publisher]!.send(`PUB ${subject} ${payload.length}\r\n${payload}\r\n`);
    this.runtime.turn();
    const candidates = this.model.filter((subscription) =>
      hasOnlyFullTokens(subject) && subjectMatches(subscription.subject, subject) &&
      (subscription.owner !== publisher || this.echo[publisher])
    );
    const got = new Map<string, number>();
    for (const [owner, socket] of this.sockets.entries()) {
      const text = socket.take();
      let rest = text;
      while (rest !== "") {
        const match = /^MSG (\S+) (\S+) (\d+)\r\n(\d+)\r\n/.exec(rest);
        assert.ok(match !== null, `step ${step}: ${JSON.stringify(text)}`);
        assert.equal(match[1], subject);
        assert.equal(match[4], payload);
        const key = `${owner} ${match[2]}`;
        got.set(key, (got.get(key) ?? 0) + 1);
        rest = rest.slice(match[0].length);
      }
    }
    const context = () => `step ${step}, PUB ${subject} by ${publisher}, seed ${SEED}`;
    const groups = new Map<string, ModelSubscription[]>();
    for (const subscription of candidates) {
      if (subscription.queue !== "") {
        groups.set(subscription.queue, [...groups.get(subscription.queue) ?? [], subscription]);
        continue;
      }
      const key = `${subscription.owner} ${subscription.sid}`;
      assert.equal(got.get(key), 1, `${context()}: ${subscription.subject} sid ${subscription.sid}`);
      got.delete(key);
      this.#count(subscription);
    }
    for (const members of groups.values()) {
      const taken = members.filter((member) => got.has(`${member.owner} ${member.sid}`));
      assert.equal(taken.length, 1, `${context()}: one member of the group`);
      const member = taken[0]!; // Checked above.
      const key = `${member.owner} ${member.sid}`;
      assert.equal(got.get(key), 1, context());
      got.delete(key);
      this.#count(member);
    }
    assert.deepEqual([...got], [], `${context()}: copies for nobody`);
  }
}

test(`nats 16: 74. ${STEPS} random steps deliver what a plain matcher says`, async () => {
  const world = new World();
  await world.nats.listen();
  for (let i = 0; i < CONNECTION_COUNT; i++) world.dial(i);
  for (let step = 0; step < STEPS; step++) {
    const kind = world.random.below(100);
    if (kind < 12 && world.model.length < SUBSCRIPTION_COUNT_MAX) world.subscribe();
    else if (kind < 24) world.unsubscribe();
    else if (kind === 24 && world.random.below(20) === 0) world.reconnect();
    else world.publish(step);
    if (world.nats.router.sublist.count !== world.model.length) {
      assert.fail(`step ${step}: ${world.nats.router.sublist.count} subscriptions, not ${world.model.length}`);
    }
  }
});
