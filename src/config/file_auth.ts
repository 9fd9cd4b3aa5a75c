/**
 * The blocks that say who may connect and what he may do: `authorization {}` and `accounts {}` (operations.md 7.1).
 * Defaults are resolved here, so that the server has no rules of inheritance. No message quotes a password or token.
 */
import { quote } from "../base/quote.ts";
import { isSubscriptionSubject } from "../base/subject.ts";
import {
  asInteger,
  asList,
  asMap,
  asString,
  asStrings,
  durationMs,
  type FileReport,
  notAvailable,
  readBlock,
  refuseValue,
  secondsMs,
} from "./file_values.ts";
import { ConfigError } from "./language/errors.ts";
import { type ConfigMap, type ConfigValue, goTypeName } from "./language/values.ts";
import { isPublicKey } from "./nkey_text.ts";
import {
  type AuthOptions,
  CONNECTION_TYPES,
  type ConnectionType,
  type NkeyOptions,
  type PermissionOptions,
  type SubjectPermission,
  type UserOptions,
} from "./option_types.ts";

/** The account of everybody who is in no other. */
const GLOBAL_ACCOUNT = "$G";
const RESPONSES_MAX = 1;
const RESPONSES_EXPIRE_MS = 120_000;

/** What the blocks say. Users of accounts and of the authorization block stand in one list. */
export interface AuthDraft {
  users: UserOptions[];
  nkeys: NkeyOptions[];
  /** The single user of the authorization block. */
  single: { user: string; password: string } | undefined;
  token: string;
  /** Undefined = not given. */
  timeoutMs: number | undefined;
  defaultPermissions: PermissionOptions | undefined;
  accounts: string[];
}

/** Nobody in particular. */
export function draftAuth(): AuthDraft {
  return {
    users: [],
    nkeys: [],
    single: undefined,
    token: "",
    timeoutMs: undefined,
    defaultPermissions: undefined,
    accounts: [],
  };
}

/** The options that a draft amounts to. `timeoutMs` is what stands when the file gives none. */
export function finishAuth(draft: AuthDraft, noAuthUser: string, timeoutMs: number): AuthOptions {
  return {
    users: draft.single === undefined ? draft.users : [draft.single],
    nkeys: draft.nkeys,
    token: draft.token,
    timeoutMs: draft.timeoutMs ?? timeoutMs,
    noAuthUser,
    // A single user is not restricted by them in the reference.
    defaultPermissions: draft.single === undefined ? draft.defaultPermissions : undefined,
    accounts: draft.accounts,
  };
}

/** Why a `no_auth_user` cannot be, or undefined. */
export function checkNoAuthUser(auth: AuthOptions): string | undefined {
  const { noAuthUser, users, nkeys } = auth;
  if (noAuthUser === "") return undefined;
  if (users.length === 0 && nkeys.length === 0) {
    return `no_auth_user: ${quote(noAuthUser)} present, but users/nkeys are not defined`;
  }
  if (users.some((user) => user.user === noAuthUser) || nkeys.some((key) => key.nkey === noAuthUser)) return undefined;
  return `no_auth_user: ${
    quote(noAuthUser)
  } not present as user or nkey in authorization block or account configuration`;
}

/** Reads `authorization {}`. To be called after {@link readAccounts}: the two may not name the same user. */
export function readAuthorization(report: FileReport, value: ConfigValue, draft: AuthDraft): void {
  let user: string | undefined;
  let password = "";
  let list: UserList | undefined;
  readBlock(report, asMap(value), {
    "user username": (entry) => user = asString(entry),
    "pass password": (entry) => password = asString(entry),
    token: (entry) => draft.token = asString(entry),
    timeout: (entry) => {
      const ms = secondsMs(entry, "error parsing authorization timeout, ");
      // The reference takes zero for "not set".
      draft.timeoutMs = ms > 0 ? ms : undefined;
    },
    users: (entry) => list = readUsers(report, entry, undefined),
    "default_permission default_permissions permissions": (entry) => {
      draft.defaultPermissions = readPermissions(report, entry);
    },
  });
  const hasUser = (user ?? "") !== "";
  if ((hasUser || password !== "") && draft.token !== "") refuseValue(value, "Cannot have a user/pass and token");
  if (list !== undefined || draft.users.length + draft.nkeys.length > 0) {
    // A password alone may stand beside the list: files define it there as a variable, `PASS: ...`, for use in the list.
    if (hasUser) refuseValue(value, "Can not have a single user/pass and a users array");
    if (draft.token !== "") refuseValue(value, "Can not have a token and a users array");
  } else if (!hasUser && password !== "") {
    // The reference ignores such a password and lets everybody in.
    refuseValue(value, "a password without a user");
  }
  if (hasUser) {
    draft.single = { user: user ?? "", password };
    if (draft.defaultPermissions !== undefined) {
      report.note("warning", value.at, "permissions do not apply to a single user; write users: [ … ] instead");
    }
  }
  if (list !== undefined) {
    addUsers(value, draft, list, draft.defaultPermissions);
    if (draft.users.length + draft.nkeys.length === 0) {
      report.note("warning", value.at, "the list of users is empty: everybody may connect");
    }
  }
}

/** Reads `accounts`: a list of names, or a map of blocks. */
export function readAccounts(report: FileReport, value: ConfigValue, draft: AuthDraft): void {
  if (value.kind === "list") {
    for (const item of value.items) report.attempt(() => addAccount(item, asString(item), draft));
    return;
  }
  if (value.kind !== "map") {
    throw new ConfigError("CONFIG_TYPE", `Expected map entries for accounts, got ${goTypeName(value)}`, value.at);
  }
  for (const { key: name, value: block } of value.entries.values()) {
    report.attempt(() => {
      if (block.kind !== "map") refuseValue(block, "Expected map entries for accounts");
      addAccount(block, name, draft);
      readAccount(report, block, name, draft);
    });
  }
}

function addAccount(value: ConfigValue, name: string, draft: AuthDraft): void {
  if (name === GLOBAL_ACCOUNT) refuseValue(value, `${quote(name)} is a Reserved Account`);
  if (draft.accounts.includes(name)) refuseValue(value, `Duplicate Account Entry: ${name}`);
  draft.accounts.push(name);
}

function readAccount(report: FileReport, block: ConfigMap, account: string, draft: AuthDraft): void {
  let list: UserList | undefined;
  let defaults: PermissionOptions | undefined;
  const advice = "subjects of accounts are separate here; leave it out, or run a nats-server beside it and use -ns";
  readBlock(report, block, {
    users: (value) => list = readUsers(report, value, account),
    nkey: (value) => {
      const key = asString(value);
      if (!isPublicKey(key, "account")) refuseValue(value, `Not a valid public nkey for an account: ${quote(key)}`);
    },
    "default_permission default_permissions permissions": (value) => defaults = readPermissions(report, value),
    "imports exports mappings maps": (value, key) => {
      const isEmpty = (value.kind === "list" && value.items.length === 0) ||
        (value.kind === "map" && value.entries.size === 0);
      if (!isEmpty) notAvailable(value, key, advice);
    },
    limits: (value, key) => {
      if (asMap(value).entries.size > 0) notAvailable(value, key, "limits apply to the server, not to accounts");
    },
    jetstream: (value, key) => {
      if (value.kind !== "boolean" || value.value) {
        notAvailable(value, key, "JetStream is not part of this product; run a nats-server beside it");
      }
    },
  });
  if (list !== undefined) addUsers(block, draft, list, defaults);
}

interface UserList {
  readonly users: readonly UserOptions[];
  readonly nkeys: readonly NkeyOptions[];
}

/** Adds the users of one block, with the block's defaults where they have no permissions of their own. */
function addUsers(
  value: ConfigValue,
  draft: AuthDraft,
  list: UserList,
  defaults: PermissionOptions | undefined,
): void {
  const names = new Set([...draft.users.map((user) => user.user), ...draft.nkeys.map((key) => key.nkey)]);
  const permissions = defaults === undefined ? {} : { permissions: defaults };
  for (const user of list.users) {
    if (names.has(user.user)) refuseValue(value, `Duplicate user ${quote(user.user)} detected`);
    names.add(user.user);
    draft.users.push({ ...permissions, ...user });
  }
  for (const key of list.nkeys) {
    if (names.has(key.nkey)) refuseValue(value, `Duplicate nkey ${quote(key.nkey)} detected`);
    names.add(key.nkey);
    draft.nkeys.push({ ...permissions, ...key });
  }
}

/** Reads `users: [ … ]`. An entry with an error spoils the list: a file with errors is not used anyway. */
function readUsers(report: FileReport, value: ConfigValue, account: string | undefined): UserList {
  const users: UserOptions[] = [];
  const nkeys: NkeyOptions[] = [];
  if (value.kind !== "list") refuseValue(value, `Expected users field to be an array, got ${goTypeName(value)}`);
  for (const item of asList(value)) {
    report.attempt(() => {
      if (item.kind !== "map") {
        return refuseValue(item, `Expected user entry to be a map/struct, got ${goTypeName(item)}`);
      }
      readUser(report, item, account, users, nkeys);
    });
  }
  return { users, nkeys };
}

function readUser(
  report: FileReport,
  item: ConfigMap,
  account: string | undefined,
  users: UserOptions[],
  nkeys: NkeyOptions[],
): void {
  let nkey = "";
  let user = "";
  let password = "";
  let permissions: PermissionOptions | undefined;
  let allowedConnectionTypes: readonly ConnectionType[] | undefined;
  const errorCount = report.errors.length;
  readBlock(report, item, {
    nkey: (value) => nkey = asString(value),
    "user username": (value) => user = asString(value),
    "pass password": (value) => password = asString(value),
    "permission permissions authorization": (value) => permissions = readPermissions(report, value),
    "allowed_connection_types connection_types clients": (value) => allowedConnectionTypes = connectionTypes(value),
  });
  // A name that could not be read is an error already.
  if (report.errors.length > errorCount) return;
  const common = {
    ...(permissions === undefined ? {} : { permissions }),
    ...(account === undefined ? {} : { account }),
    ...(allowedConnectionTypes === undefined ? {} : { allowedConnectionTypes }),
  };
  // The reference names a key of the entry, not the entry.
  const at: ConfigValue = item.entries.values().next().value?.value ?? item;
  if (nkey === "" && user === "") refuseValue(at, "User entry requires a user");
  if (nkey === "") {
    users.push({ user, password, ...common });
    return;
  }
  if (!isPublicKey(nkey, "user")) refuseValue(at, "Not a valid public nkey for a user");
  if (user !== "" || password !== "") refuseValue(at, "Nkey users do not take usernames or passwords");
  nkeys.push({ nkey, ...common });
}

function connectionTypes(value: ConfigValue): readonly ConnectionType[] {
  const names = asStrings(value, "allowed connection types").map((name) => name.toUpperCase());
  const unknown = names.filter((name) => !CONNECTION_TYPES.some((type) => type === name));
  if (unknown.length > 0) refuseValue(value, `invalid connection types [${unknown.map(quote).join(" ")}]`);
  return CONNECTION_TYPES.filter((type) => names.includes(type));
}

/** Reads a permissions block. */
export function readPermissions(report: FileReport, value: ConfigValue): PermissionOptions {
  if (value.kind !== "map") refuseValue(value, `Expected permissions to be a map/struct, got ${goTypeName(value)}`);
  let publish: SubjectPermission | undefined;
  let subscribe: SubjectPermission | undefined;
  let allowResponses: PermissionOptions["allowResponses"];
  readBlock(report, asMap(value), {
    "pub publish import": (entry) => publish = readSubjects(report, entry),
    "sub subscribe export": (entry) => subscribe = readSubjects(report, entry),
    "publish_allow_responses allow_responses": (entry) => allowResponses = readAllowResponses(report, entry),
  }, unknownPermission);
  // Who may answer may do only that, unless he is allowed more.
  if (allowResponses !== undefined && publish?.allow === undefined) publish = { ...publish, allow: [] };
  return {
    ...(publish === undefined ? {} : { publish }),
    ...(subscribe === undefined ? {} : { subscribe }),
    ...(allowResponses === undefined ? {} : { allowResponses }),
  };
}

function unknownPermission(value: ConfigValue, key: string): never {
  throw new ConfigError("CONFIG_UNKNOWN_KEY", `Unknown field ${quote(key)} parsing permissions`, value.at);
}

/** One subject, a list of them, or a map of what is allowed and denied. */
function readSubjects(report: FileReport, value: ConfigValue): SubjectPermission | undefined {
  if (value.kind !== "map") return { allow: subjectList(value) };
  if (value.entries.size === 0) return undefined;
  let allow: readonly string[] | undefined;
  let deny: readonly string[] | undefined;
  readBlock(report, value, {
    allow: (entry) => allow = subjectList(entry),
    deny: (entry) => deny = subjectList(entry),
  }, (entry, key) => {
    const reason = `Unknown field name ${quote(key)} parsing subject permissions, only 'allow' or 'deny' are permitted`;
    throw new ConfigError("CONFIG_UNKNOWN_KEY", reason, entry.at);
  });
  return { ...(allow === undefined ? {} : { allow }), ...(deny === undefined ? {} : { deny }) };
}

function subjectList(value: ConfigValue): readonly string[] {
  if (value.kind !== "string" && value.kind !== "list") {
    const reason = "Expected subject permissions to be a subject, or array of subjects, got " + goTypeName(value);
    throw new ConfigError("CONFIG_TYPE", reason, value.at);
  }
  const items = value.kind === "list" ? value.items : [value];
  return items.map((item) => {
    if (item.kind !== "string") refuseValue(item, "Subject in permissions array cannot be cast to string");
    const subject = asString(item);
    if (isSubject(subject)) return subject;
    // A queue name may stand behind the subject.
    const parts = subject.split(/\s+/).filter((part) => part !== "");
    if (parts.length !== 2) refuseValue(value, `subject ${quote(subject)} is not a valid subject`);
    const [first = ""] = parts;
    if (!isSubject(first)) refuseValue(value, `subject ${quote(first)} is not a valid subject`);
    return subject;
  });
}

function isSubject(text: string): boolean {
  return isSubscriptionSubject(text) && !/\s/.test(text);
}

function readAllowResponses(report: FileReport, value: ConfigValue): PermissionOptions["allowResponses"] {
  if (value.kind === "boolean") {
    return value.value ? { max: RESPONSES_MAX, expiresMs: RESPONSES_EXPIRE_MS } : undefined;
  }
  if (value.kind !== "map") {
    return refuseValue(value, "error parsing response permissions, expected a boolean or a map");
  }
  let max = RESPONSES_MAX;
  let expiresMs = RESPONSES_EXPIRE_MS;
  readBlock(report, value, {
    // Zero means the default, a negative number no limit.
    "max max_msgs max_messages max_responses": (entry) => max = asInteger(entry) || RESPONSES_MAX,
    "expires expiration ttl": (entry) => {
      if (entry.kind !== "string") return refuseValue(entry, "error parsing expires, not a duration string");
      expiresMs = durationMs(entry, entry.value, "error parsing expires: ") || RESPONSES_EXPIRE_MS;
    },
  }, unknownPermission);
  return { max, expiresMs };
}

/** The `authorization {}` of a WebSocket listener: one user or a token. */
export function readSimpleAuth(
  report: FileReport,
  value: ConfigValue,
): { user: string; password: string; token: string; timeoutMs: number } {
  const auth = { user: "", password: "", token: "", timeoutMs: 0 };
  readBlock(report, asMap(value), {
    "user username": (entry) => auth.user = asString(entry),
    "pass password": (entry) => auth.password = asString(entry),
    token: (entry) => auth.token = asString(entry),
    timeout: (entry) => auth.timeoutMs = Math.max(0, secondsMs(entry, "error parsing authorization timeout, ")),
  });
  return auth;
}
