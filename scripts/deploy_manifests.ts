/**
 * What the manifests under deploy/ must have: only fields that their readers know, and references that lead somewhere. No
 * schema of Kubernetes or Compose can be installed from npm, so the fields in use stand here; a new one is looked up in the
 * reference of its reader before it is added.
 */

/** What YAML and JSON hold. */
export type Yaml = null | boolean | number | string | readonly Yaml[] | YamlMap;

/** A mapping. */
export interface YamlMap {
  readonly [key: string]: Yaml;
}

/** The manifests, and the tables of their fields. */
export const COMPOSE_FILE = "deploy/compose/compose.yaml";
export const SWARM_FILE = "deploy/swarm/stack.yaml";
export const KUBERNETES_FILE = "deploy/kubernetes/stanchion.yaml";

/**
 * The shape of a value: a word for a scalar, a list with the shape of its entries, or the known keys. "*" as a key stands
 * for names that the author chooses; "any" is for values that are not looked into.
 */
type Shape = "string" | "number" | "boolean" | "any" | readonly [Shape] | { readonly [key: string]: Shape };

const METADATA: Shape = { name: "string", labels: { "*": "string" }, annotations: { "*": "string" } };
const LABELS: Shape = { "*": "string" };

const HTTP_PROBE: Shape = {
  httpGet: { path: "string", port: "string" },
  periodSeconds: "number",
  timeoutSeconds: "number",
  failureThreshold: "number",
};

const POD: Shape = {
  automountServiceAccountToken: "boolean",
  terminationGracePeriodSeconds: "number",
  securityContext: {
    runAsNonRoot: "boolean",
    runAsUser: "number",
    runAsGroup: "number",
    fsGroup: "number",
    fsGroupChangePolicy: "string",
    seccompProfile: { type: "string" },
  },
  containers: [{
    name: "string",
    image: "string",
    imagePullPolicy: "string",
    args: ["string"],
    env: [{ name: "string", valueFrom: { fieldRef: { fieldPath: "string" } } }],
    ports: [{ name: "string", containerPort: "number" }],
    livenessProbe: HTTP_PROBE,
    readinessProbe: HTTP_PROBE,
    securityContext: {
      allowPrivilegeEscalation: "boolean",
      readOnlyRootFilesystem: "boolean",
      capabilities: { drop: ["string"] },
    },
    resources: { requests: { "*": "string" }, limits: { "*": "string" } },
    volumeMounts: [{ name: "string", mountPath: "string", readOnly: "boolean" }],
  }],
  volumes: [{ name: "string", configMap: { name: "string" }, emptyDir: { medium: "string", sizeLimit: "string" } }],
};

const KUBERNETES_SHAPES: { readonly [kind: string]: { readonly apiVersion: string; readonly shape: Shape } } = {
  ConfigMap: { apiVersion: "v1", shape: { data: { "*": "string" } } },
  Service: {
    apiVersion: "v1",
    shape: {
      spec: {
        clusterIP: "string",
        publishNotReadyAddresses: "boolean",
        selector: LABELS,
        ports: [{ name: "string", port: "number", targetPort: "string" }],
      },
    },
  },
  PodDisruptionBudget: {
    apiVersion: "policy/v1",
    shape: { spec: { minAvailable: "number", selector: { matchLabels: LABELS } } },
  },
  StatefulSet: {
    apiVersion: "apps/v1",
    shape: {
      spec: {
        serviceName: "string",
        replicas: "number",
        selector: { matchLabels: LABELS },
        template: { metadata: METADATA, spec: POD },
        volumeClaimTemplates: [{
          metadata: METADATA,
          spec: { accessModes: ["string"], resources: { requests: { "*": "string" } } },
        }],
      },
    },
  },
};

const HEALTH_CHECK: Shape = {
  test: ["string"],
  interval: "string",
  timeout: "string",
  retries: "number",
  start_period: "string",
};

const COMPOSE_SHAPE: Shape = {
  name: "string",
  services: {
    "*": {
      image: "string",
      build: { context: "string", dockerfile: "string", target: "string" },
      command: ["string"],
      ports: ["string"],
      volumes: ["string"],
      healthcheck: HEALTH_CHECK,
      restart: "string",
      stop_grace_period: "string",
      read_only: "boolean",
      cap_drop: ["string"],
      security_opt: ["string"],
      ulimits: { nofile: "number" },
    },
  },
  volumes: { "*": {} },
};

const UPDATE: Shape = { order: "string", failure_action: "string" };

const SWARM_SHAPE: Shape = {
  version: "string",
  services: {
    "*": {
      image: "string",
      command: ["string"],
      ports: [{ target: "number", published: "number", protocol: "string", mode: "string" }],
      volumes: ["string"],
      configs: [{ source: "string", target: "string" }],
      healthcheck: HEALTH_CHECK,
      stop_grace_period: "string",
      deploy: {
        mode: "string",
        replicas: "number",
        update_config: UPDATE,
        rollback_config: UPDATE,
        restart_policy: { condition: "string", delay: "string" },
        placement: { constraints: ["string"] },
      },
    },
  },
  volumes: { "*": {} },
  configs: { "*": { file: "string" } },
};

/** Fields that their reader does not know, and values of a wrong type, as `path: reason`. */
function shapeFindings(value: Yaml | undefined, shape: Shape, path: string): string[] {
  if (shape === "any") return [];
  if (typeof shape === "string") {
    const found = value === null ? "null" : typeof value;
    return found === shape ? [] : [`${path}: ${found} instead of ${shape}`];
  }
  if (isListShape(shape)) {
    if (!Array.isArray(value)) return [`${path}: no list`];
    return (value as readonly Yaml[]).flatMap((entry, index) => shapeFindings(entry, shape[0], `${path}[${index}]`));
  }
  if (!isMap(value)) return [`${path}: no mapping`];
  return Object.entries(value).flatMap(([key, entry]) => {
    const known = Object.hasOwn(shape, key) ? shape[key] : shape["*"];
    return known === undefined ? [`${path}.${key}: unknown field`] : shapeFindings(entry, known, `${path}.${key}`);
  });
}

function isListShape(shape: Shape): shape is readonly [Shape] {
  return Array.isArray(shape);
}

function isMap(value: Yaml | undefined): value is YamlMap {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The value behind a path of keys and indexes; undefined where it ends. */
export function at(value: Yaml | undefined, ...path: readonly (string | number)[]): Yaml | undefined {
  let here: Yaml | undefined = value;
  for (const step of path) {
    if (typeof step === "number") here = Array.isArray(here) ? (here as readonly Yaml[])[step] : undefined;
    else here = isMap(here) && Object.hasOwn(here, step) ? here[step] : undefined;
  }
  return here;
}

/** A list, or none. */
export function listAt(value: Yaml | undefined, ...path: readonly (string | number)[]): readonly Yaml[] {
  const found = at(value, ...path);
  return Array.isArray(found) ? found as readonly Yaml[] : [];
}

/** What is wrong with the manifest for Kubernetes. */
export function kubernetesFindings(documents: readonly Yaml[]): string[] {
  const found: string[] = [];
  for (const document of documents) {
    const kind = String(at(document, "kind"));
    const known = KUBERNETES_SHAPES[kind];
    if (known === undefined) {
      found.push(`${kind}: unknown kind`);
      continue;
    }
    if (at(document, "apiVersion") !== known.apiVersion) found.push(`${kind}: is ${known.apiVersion}`);
    const shape = { apiVersion: "string", kind: "string", metadata: METADATA, ...known.shape as object } as Shape;
    found.push(...shapeFindings(document, shape, kind));
  }
  const named = (kind: string, name: Yaml | undefined) =>
    documents.find((document) => at(document, "kind") === kind && at(document, "metadata", "name") === name);
  const sets = documents.filter((document) => at(document, "kind") === "StatefulSet");
  if (sets.length !== 1) found.push(`${sets.length} stateful sets instead of one`);
  for (const set of sets) found.push(...statefulSetFindings(set, named, documents));
  return found;
}

function statefulSetFindings(
  set: Yaml,
  named: (kind: string, name: Yaml | undefined) => Yaml | undefined,
  documents: readonly Yaml[],
): string[] {
  const found: string[] = [];
  const need = (holds: boolean, text: string) => {
    if (!holds) found.push(text);
  };
  const template = at(set, "spec", "template");
  const pod = at(template, "spec");
  const labels = at(template, "metadata", "labels");
  const fits = (selector: Yaml | undefined) =>
    isMap(selector) && Object.entries(selector).every(([key, value]) => at(labels, key) === value);
  need(fits(at(set, "spec", "selector", "matchLabels")), "StatefulSet: its selector does not fit its pods");
  const ports = listAt(pod, "containers", 0, "ports").map((port) => at(port, "name"));
  for (const document of documents) {
    const kind = at(document, "kind");
    const name = `${kind} ${at(document, "metadata", "name")}`;
    if (kind === "PodDisruptionBudget") {
      need(fits(at(document, "spec", "selector", "matchLabels")), `${name}: does not fit`);
    }
    if (kind !== "Service") continue;
    need(fits(at(document, "spec", "selector")), `${name}: selects no pod`);
    for (const port of listAt(document, "spec", "ports")) {
      need(ports.includes(at(port, "targetPort")), `${name}: no port ${at(port, "targetPort")} in the pod`);
    }
  }
  const service = named("Service", at(set, "spec", "serviceName"));
  need(at(service, "spec", "clusterIP") === "None", "StatefulSet: serviceName names no headless service");
  for (const probe of ["livenessProbe", "readinessProbe"]) {
    const port = at(pod, "containers", 0, probe, "httpGet", "port");
    need(ports.includes(port), `${probe}: no port ${port}`);
  }

  const volumes = [...listAt(pod, "volumes"), ...listAt(set, "spec", "volumeClaimTemplates")];
  const volumeNames = volumes.map((volume) => at(volume, "name") ?? at(volume, "metadata", "name"));
  for (const mount of listAt(pod, "containers", 0, "volumeMounts")) {
    need(volumeNames.includes(at(mount, "name")), `volumeMounts: no volume ${at(mount, "name")}`);
  }
  for (const volume of volumes) {
    const map = at(volume, "configMap", "name");
    need(map === undefined || named("ConfigMap", map) !== undefined, `volumes: no config map ${map}`);
  }
  need(at(pod, "securityContext", "runAsNonRoot") === true, "the pod may run as root");
  need(Number(at(pod, "terminationGracePeriodSeconds")) > 30, "the pod is killed before a stop may end");
  return found;
}

/** What is wrong with the file for Compose. */
export function composeFindings(document: Yaml): string[] {
  return [...shapeFindings(document, COMPOSE_SHAPE, "compose"), ...serviceFindings(document)];
}

/** What is wrong with the stack for a swarm. */
export function swarmFindings(document: Yaml): string[] {
  const found = [...shapeFindings(document, SWARM_SHAPE, "stack"), ...serviceFindings(document)];
  const services = at(document, "services");
  for (const [name, service] of Object.entries(isMap(services) ? services : {})) {
    for (const config of listAt(service, "configs")) {
      const source = String(at(config, "source"));
      if (at(document, "configs", source) === undefined) found.push(`${name}: no config ${source}`);
    }
  }
  return found;
}

function serviceFindings(document: Yaml): string[] {
  const services = at(document, "services");
  if (!isMap(services)) return [];
  return Object.entries(services).flatMap(([name, service]) => {
    const found: string[] = [];
    for (const volume of listAt(service, "volumes")) {
      const source = String(volume).split(":")[0] ?? "";
      if (at(document, "volumes", source) === undefined) found.push(`${name}: no volume ${source}`);
    }
    const grace = /^(\d+)s$/.exec(String(at(service, "stop_grace_period")));
    if (grace === null || Number(grace[1]) <= 30) found.push(`${name}: killed before a stop may end`);
    return found;
  });
}

/** Where volumes are mounted in the container of a service, or of the pod of a stateful set. */
export function mountsOf(service: Yaml): string[] {
  const short = listAt(service, "volumes").map((volume) => String(volume).split(":")[1] ?? "");
  const long = listAt(service, "volumeMounts").map((mount) => String(at(mount, "mountPath")));
  return [...short, ...long];
}
