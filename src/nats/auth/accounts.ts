/**
 * Accounts as isolation (nats-server.md 6.6): each has a router of its own, so subjects of two accounts never meet. A
 * connection holds its account's router; with one account nothing is looked up and nothing is slower.
 */
import type { Router } from "../router.ts";
import { GLOBAL_ACCOUNT, SYSTEM_ACCOUNT } from "./types.ts";

/** The routers of a server. */
export class Accounts {
  readonly #routers = new Map<string, Router>();

  /** `create` makes the router of an account; `names` need not contain `$G` and `$SYS`. */
  constructor(names: readonly string[], readonly global: Router, create: () => Router) {
    this.#routers.set(GLOBAL_ACCOUNT, global);
    this.#create = create;
    this.define(names);
  }

  readonly #create: () => Router;

  /**
   * These are the accounts from here on, besides `$G` and `$SYS`. What was there stays as it is; the clients of an account
   * that is gone keep their router until the server has closed them.
   */
  define(names: readonly string[]): void {
    for (const name of this.#routers.keys()) {
      if (name !== GLOBAL_ACCOUNT && name !== SYSTEM_ACCOUNT && !names.includes(name)) this.#routers.delete(name);
    }
    // `$SYS` is made when it is first used: hardly any client enters it.
    for (const name of names) if (!this.#routers.has(name)) this.#routers.set(name, this.#create());
  }

  /** Undefined for an account that is not defined. */
  router(name: string): Router | undefined {
    const router = this.#routers.get(name);
    if (router !== undefined || name !== SYSTEM_ACCOUNT) return router;
    const system = this.#create();
    this.#routers.set(SYSTEM_ACCOUNT, system);
    return system;
  }

  /** All routers there are, that of `$G` first. */
  all(): IterableIterator<Router> {
    return this.#routers.values();
  }

  /** The same with their names. */
  entries(): IterableIterator<[string, Router]> {
    return this.#routers.entries();
  }

  get count(): number {
    return this.#routers.size;
  }
}
