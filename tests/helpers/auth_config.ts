/** Authentication options as the configuration file of the reference, so that the same tests can be put to it. */
import type { AuthOptions, Permissions } from "../../src/nats/auth/types.ts";

/** Options that keep nobody out; a test overrides what it is about. */
export const NO_AUTH: AuthOptions = Object.freeze({ users: [], nkeys: [], timeoutMs: 2000, accounts: [] });

function permissionsOf(permissions: Permissions | undefined): object {
  if (permissions === undefined) return {};
  const { publish, subscribe, allowResponses } = permissions;
  return {
    permissions: {
      ...(publish === undefined ? {} : { publish }),
      ...(subscribe === undefined ? {} : { subscribe }),
      ...(allowResponses === undefined
        ? {}
        : { allow_responses: { max: allowResponses.max, expires: `${allowResponses.expiresMs}ms` } }),
    },
  };
}

/** Lines of a configuration file; its language takes JSON for values. */
export function authConfig(auth: AuthOptions): string[] {
  const entries = [
    ...auth.users.map(({ user, password, permissions, account, allowedConnectionTypes }) => ({
      account,
      entry: {
        user,
        password,
        ...(allowedConnectionTypes === undefined ? {} : { allowed_connection_types: allowedConnectionTypes }),
        ...permissionsOf(permissions),
      },
    })),
    ...auth.nkeys.map(({ nkey, permissions, account }) => ({
      account,
      entry: { nkey, ...permissionsOf(permissions) },
    })),
  ];
  const usersOf = (account: string | undefined): object[] =>
    entries.filter((one) => one.account === account).map((one) => one.entry);
  const own = usersOf(undefined);
  const defaults = auth.defaultPermissions;
  const authorization = {
    timeout: auth.timeoutMs / 1000,
    ...(own.length === 0 ? {} : { users: own }),
    ...(auth.user === undefined ? {} : auth.user),
    ...(auth.token === undefined ? {} : { token: auth.token }),
    ...(defaults === undefined ? {} : { default_permissions: Object.values(permissionsOf(defaults))[0] as object }),
  };
  const lines = [`authorization: ${JSON.stringify(authorization)}`];
  if (auth.accounts.length > 0) {
    const accounts = Object.fromEntries(auth.accounts.map((name) => [name, { users: usersOf(name) }]));
    lines.push(`accounts: ${JSON.stringify(accounts)}`);
  }
  if (auth.noAuthUser !== undefined) lines.push(`no_auth_user: ${JSON.stringify(auth.noAuthUser)}`);
  return lines;
}
