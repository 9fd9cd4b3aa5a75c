/**
 * What the original server reached, and what ours must. The figures of the original were measured once on one machine;
 * to compare on another they are carried in units: CPU in C (CPU per message that Debian's nats-server spends on core
 * publish/subscribe one to one with 128 B, in the same run), latency in R (p50 of core request/reply through the same
 * nats-server) or F (p50 of a bare fdatasync). Wall rates are compared with the original's rate scaled by how fast
 * nats-server is here, which is an estimate and marked as one.
 */

/** Rate and CPU that stood for C and R on the machine of the original's figures. */
export const REFERENCE_MACHINE = {
  coreRate: 1_780_000,
  coreCpuMicros: 0.567,
  requestP50Micros: 31,
  fdatasyncP50Micros: 290,
} as const;

/** Unit of a latency bound. */
export type LatencyUnit = "R" | "F";

/** Bounds of one case; what is absent is not bounded. */
export interface Target {
  /** The original: messages per second, CPU per message in microseconds and in C. */
  readonly originalRate?: number;
  readonly originalCpuMicros?: number;
  readonly originalC?: number;
  readonly originalP50Micros?: number;
  readonly originalP99Micros?: number;
  /** Our rate must be at least this many times the original's; the aim. */
  readonly rateFactor?: number;
  readonly rateAim?: number;
  /** Our CPU per message must be at most this many C; the aim. */
  readonly cpuBoundC?: number;
  readonly cpuAimC?: number;
  /** Our latencies must be at most these shares of the original's. */
  readonly latencyUnit?: LatencyUnit;
  readonly p50Factor?: number;
  readonly p99Factor?: number;
  /** A figure of another kind, in the unit of the case: at most (or, for rates, at least) this. */
  readonly valueBound?: number;
  readonly valueAim?: number;
  readonly originalValue?: number;
  /** Rate bound as a number, where the target names one; scaled to this machine like the original's rate. */
  readonly rateBound?: number;
}

/** By case name, see cases.ts. */
export const TARGETS: Readonly<Record<string, Target>> = {
  "core-1x1-16": { originalRate: 2_280_000, originalCpuMicros: 0.475, originalC: 0.83, rateFactor: 2, rateAim: 3 },
  "core-1x1-128": {
    originalRate: 1_780_000,
    originalCpuMicros: 0.567,
    originalC: 1,
    rateFactor: 1.5,
    rateAim: 2.5,
    cpuBoundC: 0.6,
  },
  "core-1x4-128": { originalRate: 2_200_000, originalCpuMicros: 0.395, originalC: 0.7, rateFactor: 1.5, rateAim: 2.5 },
  "core-request": {
    originalRate: 27_000,
    originalCpuMicros: 24,
    originalC: 42,
    originalP50Micros: 31,
    latencyUnit: "R",
    p50Factor: 1,
  },

  "memory-async-128-w1024": {
    originalRate: 342_000,
    originalCpuMicros: 4.6,
    originalC: 8.1,
    rateFactor: 2.5,
    rateAim: 4,
    cpuBoundC: 1.8,
    cpuAimC: 1.2,
  },
  "memory-async-128-w256": {
    originalRate: 231_000,
    originalCpuMicros: 5.4,
    originalC: 9.5,
    rateFactor: 2.5,
    rateAim: 4,
    cpuBoundC: 2.2,
  },
  "memory-async-128-w1024-p10": {
    originalRate: 393_000,
    originalCpuMicros: 4.4,
    originalC: 7.7,
    rateFactor: 2.2,
    rateAim: 3.5,
    cpuBoundC: 1.8,
  },
  "memory-async-16-w1024": {
    originalRate: 285_000,
    originalCpuMicros: 4.1,
    originalC: 7.2,
    rateFactor: 2.5,
    rateAim: 4,
    cpuBoundC: 1.7,
  },
  "memory-async-1k-w1024": {
    originalRate: 233_000,
    originalCpuMicros: 6.1,
    originalC: 10.7,
    rateFactor: 2,
    rateAim: 3,
    cpuBoundC: 3.5,
  },
  "memory-async-16k-w1024": {
    originalRate: 26_000,
    originalCpuMicros: 43,
    originalC: 76,
    rateFactor: 2,
    rateAim: 3,
    cpuBoundC: 30,
  },
  // 4,700 µs are 8,289 C; at most 0.6 of it.
  "memory-async-1m-w16": {
    originalRate: 190,
    originalCpuMicros: 4700,
    originalC: 8289,
    rateFactor: 1.5,
    rateAim: 2.5,
    cpuBoundC: 4974,
  },
  "memory-sync-128": {
    originalRate: 28_000,
    originalCpuMicros: 27,
    originalC: 48,
    originalP50Micros: 25,
    originalP99Micros: 85,
    latencyUnit: "R",
    p50Factor: 0.7,
    p99Factor: 0.7,
  },

  "file-async-128-w1024": {
    originalRate: 234_000,
    originalCpuMicros: 6,
    originalC: 10.5,
    rateFactor: 2,
    rateAim: 3,
    cpuBoundC: 3,
    cpuAimC: 2.3,
  },
  "file-async-128-w256-p10": {
    originalRate: 253_000,
    originalCpuMicros: 5.5,
    originalC: 9.6,
    rateFactor: 2,
    rateAim: 3,
    cpuBoundC: 3,
  },
  "file-async-128-w256": { originalRate: 124_000, originalCpuMicros: 9.2, originalC: 16, rateFactor: 2, rateAim: 3 },
  "file-async-1k-w1024": {
    originalRate: 105_000,
    originalCpuMicros: 10.7,
    originalC: 19,
    rateFactor: 1.7,
    rateAim: 2.5,
    cpuBoundC: 8,
  },
  "file-async-16k-w1024": { originalRate: 9300, originalCpuMicros: 90, originalC: 158, rateFactor: 1.5 },
  "file-sync-128": {
    originalRate: 2100,
    originalCpuMicros: 168,
    originalC: 296,
    originalP50Micros: 395,
    originalP99Micros: 2100,
    latencyUnit: "F",
    p50Factor: 0.85,
  },
  "file-nosync-async-128-w1024": {
    originalRate: 250_000,
    originalCpuMicros: 4.6,
    originalC: 8.1,
    rateFactor: 2.5,
    rateAim: 4,
    cpuBoundC: 2.2,
  },
  "file-aes-async-128-w1024": {
    originalRate: 141_000,
    originalCpuMicros: 6.4,
    originalC: 11,
    rateFactor: 1.5,
    rateAim: 2.5,
  },

  "memory-replay-128-s1": {
    originalRate: 498_000,
    originalCpuMicros: 3.1,
    originalC: 5.5,
    rateFactor: 2,
    rateAim: 3,
    cpuBoundC: 1.7,
    cpuAimC: 1.1,
  },
  "memory-replay-128-s10": {
    originalRate: 690_000,
    originalCpuMicros: 2.5,
    originalC: 4.4,
    rateFactor: 1.6,
    rateAim: 2.5,
    cpuBoundC: 1.6,
  },
  "memory-replay-1k-s1": { originalRate: 257_000, originalCpuMicros: 3.9, originalC: 6.9, rateFactor: 2, rateAim: 3 },
  "file-replay-128-s1": {
    originalRate: 317_000,
    originalCpuMicros: 4.4,
    originalC: 7.7,
    rateFactor: 2,
    rateAim: 3,
    cpuBoundC: 2.2,
  },
  "file-replay-1k-s1": { originalRate: 174_000, originalCpuMicros: 5.9, originalC: 10.4, rateFactor: 2, rateAim: 3 },

  "memory-live-128-s1": {
    originalRate: 227_000,
    originalCpuMicros: 6.6,
    originalC: 11.5,
    rateFactor: 2.5,
    rateAim: 4,
    cpuBoundC: 3,
    cpuAimC: 2,
  },
  "memory-live-128-s10": { originalRate: 587_000, originalCpuMicros: 2.7, originalC: 4.7, rateFactor: 2, rateAim: 4 },
  "file-live-128-s1": {
    originalRate: 102_000,
    originalCpuMicros: 10,
    originalC: 17.5,
    rateFactor: 2.5,
    rateAim: 4,
    cpuBoundC: 5,
  },
  "memory-queue-128-m10": {
    originalRate: 211_000,
    originalCpuMicros: 7.1,
    originalC: 12.4,
    rateFactor: 2.5,
    rateAim: 3.5,
    cpuBoundC: 3.5,
  },
  "memory-queue-replay-m10": {
    originalRate: 308_000,
    originalCpuMicros: 3.3,
    originalC: 5.8,
    rateFactor: 2,
    rateAim: 3,
  },
  // Measured on an idle machine whose cores halt, where R is not known: shown beside R, without a verdict.
  "memory-receipt": { originalCpuMicros: 85, originalC: 150, originalP50Micros: 85, originalP99Micros: 819 },
  "file-receipt": { originalCpuMicros: 652, originalC: 1150, originalP50Micros: 759, originalP99Micros: 4000 },

  "memory-footprint": { originalValue: 490, valueBound: 200, valueAim: 170 },
  "file-footprint": { originalValue: 204_000_000 / 1e6, valueBound: 120 },
  "idle-clients": { originalRate: 3600, originalValue: 70, valueBound: 20, valueAim: 12, rateBound: 8000 },
  "subscriptions-10k": { originalRate: 14_000, originalValue: 6.1, valueBound: 2.5, valueAim: 1.5, rateBound: 30_000 },
  "file-durables-10k": { originalRate: 2100, rateBound: 10_000 },
  "file-channels-10k": { originalRate: 920, rateBound: 5000, originalValue: 99, valueBound: 5, valueAim: 2 },
  "file-restart-1m": { originalValue: 0.15, valueBound: 0.15, valueAim: 0.075 },
  "startup": { originalValue: 41, valueBound: 100, valueAim: 40 },
};

/** Most resident memory of an idle server, and most bytes of the executable. */
export const IDLE_RESIDENT_BYTES_MAX = 60e6;
export const EXECUTABLE_BYTES_MAX = 120e6;
