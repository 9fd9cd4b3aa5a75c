/**
 * Every command of the manual, done in the order in which a reader does it, with what it prints compared with what the page
 * shows; and every configuration in it, checked by the server. A page is one reader with an empty directory.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, it, test } from "node:test";
import { listFiles, ROOT } from "../../scripts/project.ts";
import { PROCESS_TEST_MS_MAX } from "../helpers/server_process.ts";
import { DocsPageError, type DocsStep, docsSteps, outputDifference, withoutVolatile } from "./docs/docs_page.ts";
import { DocsSession } from "./docs/docs_session.ts";

const timeout = PROCESS_TEST_MS_MAX;
const PAGES: readonly string[] = ["README.md", ...listFiles("docs", ".md")];
const STEPS: ReadonlyMap<string, readonly DocsStep[]> = new Map(
  PAGES.map((page) => [page, docsSteps(page, readFileSync(join(ROOT, page), "utf8"))]),
);

/**
 * Blocks that no test runs, by page and the first command in them. Whoever adds one adds it here, too: the list must not
 * grow by itself.
 */
const NOT_RUN: readonly (readonly [string, string])[] = [
  ["README.md", "./compile.sh"],
  ["README.md", "dist/stanchion -store FILE -dir data -m 8222"],
  ["docs/develop.md", "npx -y deno task ok"],
  ["docs/develop.md", "deno test -A tests/unit/base/crc32_test.ts"],
  ["docs/develop.md", "SIMULATION_SEED=4711 deno test -A tests/simulation/simulation_test.ts"],
  ["docs/develop.md", "npx -y deno task simulate"],
  ["docs/develop.md", "deno run -A scripts/check_deploy.ts"],
  ["docs/install.md", "./compile.sh"],
  ["docs/install.md", "sudo install -m 755 dist/stanchion /usr/local/bin/"],
  ["docs/install.md", "docker build -f deploy/docker/Dockerfile --target alpine -t stanchion:alpine ."],
  ["docs/install.md", "docker compose -f deploy/compose/compose.yaml up -d"],
  ["docs/install.md", 'docker node update --label-add stanchion=true "$(hostname)"'],
  ["docs/install.md", "kubectl apply -k deploy/kubernetes"],
  ["docs/operate.md", "stanchion.new -c /etc/stanchion/stanchion.conf -t"],
];

function firstCommand(script: string): string | undefined {
  return script.split("\n").find((line) => !line.startsWith("#"));
}

describe("the manual", { timeout }, () => {
  for (const [page, steps] of STEPS) {
    if (!steps.some((step) => step.kind !== "notRun")) continue;
    it(`${page}: every command does what the page says`, { timeout }, async (context) => {
      if (process.platform === "win32") return context.skip("its commands are for a shell of Unix");
      await using session = await DocsSession.open(page);
      for (const step of steps) await session.follow(step);
    });
  }

  it("what cannot run in a test is known, and each has its reason", () => {
    const found = [...STEPS].flatMap(([page, steps]) =>
      steps.filter((step) => step.kind === "notRun").map((step) => [page, firstCommand(step.script)])
    );
    assert.deepEqual(found, NOT_RUN);
  });

  it("files and headings that pages point at are there", () => {
    const headings = (text: string) =>
      [...text.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
        title!.toLowerCase().replaceAll(/[^\w\- ]/g, "").replaceAll(" ", "-")
      );
    const missing: string[] = [];
    for (const page of PAGES) {
      const text = readFileSync(join(ROOT, page), "utf8");
      for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
        // Curves are drawn by a benchmark, not kept by hand.
        if (/^(?:[a-z]+:|images\/)/.test(target!)) continue;
        const [path = "", heading] = target!.split("#");
        const file = path === "" ? join(ROOT, page) : join(ROOT, page, "..", path);
        let content: string;
        try {
          content = file.endsWith(".md") ? readFileSync(file, "utf8") : (readFileSync(file), "");
        } catch (error) {
          // A directory is a fine target.
          if ((error as { code?: unknown }).code === "ENOENT") missing.push(`${page}: ${target}`);
          continue;
        }
        if (heading !== undefined && !headings(content).includes(heading)) missing.push(`${page}: ${target}`);
      }
    }
    assert.deepEqual(missing, []);
  });
});

test("a page is a list of steps; comments say what a reader sees from the text", () => {
  const page = [
    "<!-- docs: server -->",
    "",
    "```sh",
    "stanchion",
    "```",
    "and",
    "```sh",
    "stanchion pub a b",
    "```",
    "",
    "```text",
    "stored",
    "```",
    "<!-- docs: file a.conf -->",
    "  ```conf",
    "  streaming {",
    "  }",
    "  ```",
    "<!-- docs: status 2 -->",
    "```sh",
    "stanchion -x",
    "```",
    "Something else:",
    "```text",
    "no output",
    "```",
    "<!-- docs: not run: a reason -->",
    "```sh",
    "docker",
    "```",
  ].join("\n");
  assert.deepEqual(docsSteps("p.md", page), [
    { kind: "server", line: 3, script: "stanchion\n" },
    { kind: "run", line: 7, script: "stanchion pub a b\n", status: 0, output: "stored\n" },
    { kind: "file", line: 15, name: "a.conf", text: "streaming {\n}\n" },
    { kind: "run", line: 20, script: "stanchion -x\n", status: 2 },
    { kind: "notRun", line: 28, script: "docker\n", reason: "a reason" },
  ]);
});

test("a comment that nobody understands, or that has no block, is a mistake of the page", () => {
  const pages: readonly (readonly [string, RegExp])[] = [
    ["<!-- docs: servr -->\n```sh\nx\n```", /^p\.md:2: a comment that means nothing here: servr$/],
    ["<!-- docs: not run: -->\n```sh\nx\n```", /means nothing here/],
    ["<!-- docs: server -->\n```conf\nx\n```", /means nothing here/],
    ["<!-- docs: server -->\ntext", /^p\.md:1: a comment without a block$/],
    ["<!-- docs: server -->\n<!-- docs: status 1 -->\n```sh\nx\n```", /line 1 has no block/],
    ["```sh\nx", /^p\.md:1: a block without an end$/],
  ];
  for (const [page, message] of pages) {
    assert.throws(
      () => docsSteps("p.md", page),
      (error) => error instanceof DocsPageError && message.test(error.message),
    );
  }
});

test("output is compared but for what differs from run to run", () => {
  const shown = "1  2026-01-31T12:00:00.123456789Z  first\n...\nstored after 3 ms, guid abc\n";
  assert.equal(outputDifference(shown, "1  2026-11-21T07:10:30.6Z  first\nstored after 1.5 s, guid XyZ9\n"), undefined);
  assert.equal(
    outputDifference(shown, "1  2026-11-21T07:10:30Z  first\na\nb\nstored after 16 ms, guid q\n"),
    undefined,
  );
  for (
    const wrong of ["2  2026-11-21T07:10:30Z  first\nstored after 1 ms, guid q\n", "", "stored after 1 ms, guid q\n"]
  ) {
    assert.notEqual(outputDifference(shown, wrong), undefined, wrong);
  }
  assert.notEqual(outputDifference("a.c\n", "abc\n"), undefined, "no pattern but the dots of a line");
  assert.equal(withoutVolatile("[123] 2026/11/21 07:10:30.657254 [INF] x"), "[<pid>] <time> [INF] x");
});
