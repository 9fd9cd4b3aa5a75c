/**
 * Accounts as isolation (nats-server.md 6.6): each has a router of its own, so subjects of two accounts never meet. A
 * connection holds its account's router; with one account nothing is looked up and nothing is slower.
 */
import type { Router } from "../router.ts";
import { GLOBAL_ACCOUNT, SYSTEM_ACCOUNT } from "./types.ts";

/** The routers of a server. Built with the server, fixed until the options change. */
export class Accounts {
  readonly #routers = new Map<string, Router>();

  /** `create` makes the router of an account; `names` need not contain `$G` and `$SYS`. */
  constructor(names: readonly string[], readonly global: Router, create: () => Router) {
    this.#routers.set(GLOBAL_ACCOUNT, global);
    for (const name of names) if (!this.#routers.has(name)) this.#routers.set(name, create());
    // `$SYS` is made when it is first used: hardly any client enters it.
    this.#createSystem = create;
  }

  readonly #createSystem: () => Router;

  /** Undefined for an account that is not defined. */
  router(name: string): Router | undefined {
    const router = this.#routers.get(name);
    if (router !== undefined || name !== SYSTEM_ACCOUNT) return router;
    const system = this.#createSystem();
    this.#routers.set(SYSTEM_ACCOUNT, system);
    return system;
  }

  /** All routers there are, that of `$G` first. */
  all(): IterableIterator<Router> {
    return this.#routers.values();
  }

  get count(): number {
    return this.#routers.size;
  }
}
