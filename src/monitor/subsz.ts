/** `/subsz`: figures of the lists of subscriptions, and the subscriptions themselves (operations.md 5.8). */
import { byteStringOfText } from "../base/bytes.ts";
import { hasOnlyFullTokens, hasWildcard, subjectMatches } from "../base/subject.ts";
import type { Router } from "../nats/router.ts";
import type { Subscription } from "../nats/subscription.ts";
import { subscriptionDetail } from "./connz.ts";
import type { Json } from "./json.ts";
import { accountsOf, GLOBAL_ACCOUNT, type NatsView } from "./nats_view.ts";
import { boolParameter, corePaging, QueryError } from "./query.ts";

/** The eight figures. Of several accounts together, or of one. */
export interface SublistFigures {
  readonly num_subscriptions: number;
  readonly num_cache: number;
  readonly num_inserts: number;
  readonly num_removes: number;
  readonly num_matches: number;
  readonly cache_hit_rate: number;
  readonly max_fanout: number;
  readonly avg_fanout: number;
}

/** Looks at every subject that is remembered: a few milliseconds when there are tens of thousands. */
export function sublistFigures(routers: Iterable<Router | undefined>): SublistFigures {
  let subscriptionCount = 0;
  let cacheCount = 0;
  let insertCount = 0;
  let removeCount = 0;
  let matchCount = 0;
  let missCount = 0;
  let fanoutMax = 0;
  let fanoutTotal = 0;
  let resolvedCount = 0;
  for (const router of routers) {
    if (router === undefined) continue;
    const { sublist, subjects } = router;
    subscriptionCount += sublist.count;
    insertCount += sublist.insertCount;
    removeCount += sublist.removeCount;
    cacheCount += subjects.count;
    matchCount += subjects.lookups;
    missCount += router.resolutions;
    subjects.forEach((entry) => {
      // What it leads to was not asked since the subscriptions changed.
      if (entry.generation !== router.generation) return;
      let fanout = entry.plain.length;
      for (const group of entry.groups) fanout += group.members.length;
      resolvedCount++;
      fanoutTotal += fanout;
      if (fanout > fanoutMax) fanoutMax = fanout;
    });
  }
  return {
    num_subscriptions: subscriptionCount,
    num_cache: cacheCount,
    num_inserts: insertCount,
    num_removes: removeCount,
    num_matches: matchCount,
    // A change of subscriptions makes one entry miss more than once: never below nothing.
    cache_hit_rate: matchCount === 0 ? 0 : Math.max(0, 1 - missCount / matchCount),
    max_fanout: fanoutMax,
    avg_fanout: resolvedCount === 0 ? 0 : fanoutTotal / resolvedCount,
  };
}

/** The page. Throws {@link QueryError}. */
export function subsz(view: NatsView, query: URLSearchParams): Json {
  const withSubscriptions = boolParameter(query, "subs");
  const { offset, limit } = corePaging(query);
  const wanted = query.get("acc") ?? "";
  const test = query.get("test") ?? "";
  const subject = byteStringOfText(test);
  if (test !== "" && (!hasOnlyFullTokens(subject) || hasWildcard(subject))) {
    throw new QueryError(`invalid test subject, must be valid publish subject: ${test}`);
  }
  const accounts = [...accountsOf(view.server)].filter(([name]) => wanted === "" || name === wanted);
  const figures = sublistFigures(accounts.map(([, router]) => router));
  if (!withSubscriptions) return { ...figures };

  const owners = ownersOf(view);
  const list: Json[] = [];
  let passed = 0;
  for (const [account, router] of accounts) {
    if (list.length === limit) break;
    for (const subscription of router?.sublist.all() ?? []) {
      if (test !== "" && !subjectMatches(subscription.subject, subject)) continue;
      if (passed++ < offset) continue;
      list.push(detailOf(subscription, account, owners));
      if (list.length === limit) break;
    }
  }
  if (list.length === 0) return { ...figures };
  return {
    server_id: view.server.id,
    now: view.time.nowUtc(),
    ...figures,
    // The reference's total is that of the page, too.
    total: list.length,
    offset,
    limit,
    subscriptions_list: list,
  };
}

interface Owner {
  readonly connectionId: number;
  readonly sid: string;
}

/** Which of the internal connections has which of the server's own subscriptions. */
function ownersOf({ own }: NatsView): Map<Subscription, Owner> {
  const owners = new Map<Subscription, Owner>();
  for (const { id, subscriptions } of own?.list() ?? []) {
    subscriptions.forEach((subscription, index) => owners.set(subscription, { connectionId: id, sid: `${index + 1}` }));
  }
  return owners;
}

function detailOf(subscription: Subscription, account: string, owners: Map<Subscription, Owner>): Json {
  const { subject, queue, delivered, max, connection } = subscription;
  const owner = connection === null ? owners.get(subscription) : undefined;
  const record = { subject, queue, sid: owner?.sid ?? subscription.sid, delivered, max };
  return subscriptionDetail(
    record,
    connection?.id ?? owner?.connectionId ?? 0,
    account === "" ? GLOBAL_ACCOUNT : account,
  );
}
