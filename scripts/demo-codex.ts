/**
 * The demo of a codex step: the real Codex mends a file in a git worktree, asks before it changes it, is allowed to from
 * a second process, and answers in the form of a schema.
 *
 * There need not be an account: by default the model behind Codex is a fake on loopback that says what its script says.
 * Everything else is real. With `real`, Codex asks the model of the user's own login, and the user answers.
 *
 * Codex's home lies in a folder of its own under /var/tmp, since it may not lie where commands may write, and goes with
 * the demo. Workspace and worktree stay, to be looked at.
 */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { execa } from "execa";
import pc from "picocolors";
import { stringify } from "smol-toml";
import { createEdgeClient, type RunView } from "../client/http.ts";
import { isTerminal } from "../contract/run-record.ts";
import { eventKey, runId } from "../contract/ids.ts";
import type { Setup } from "../runner-agent/dev/setup.ts";
import { message, patch, structured, together } from "../test/support/fake-model/answers.ts";
import { fakeModelConfig, writeModelCatalog } from "../test/support/fake-model/codex-home.ts";
import { FakeModel } from "../test/support/fake-model/fake-model.ts";
import { command, fromHere, heading, onStage } from "./demo-stage.ts";
import { projectPath } from "./project.ts";

const LOOK_AGAIN_MS = 100;

const root = projectPath(".codex-flow/demo-codex");
const workspace = join(root, "workspace");
const repository = join(workspace, "app");
const homes = "/var/tmp/codex-flow-demo-";
const event = {
  id: "demo:codex:1",
  type: "demo.codex",
  source: "demo",
  payload: { repo: "app", file: "hello.mjs", wish: "It should greet the world when no name is given." },
};

const PACKAGE = {
  "flows/demo-codex/flow.toml": `name = "demo-codex"
version = 1

[[steps]]
name = "mend"
runner = "codex"
script = "mend.md"
timeout_ms = 900000

[steps.workspace]
mode = "worktree"
repo = "{{payload.repo}}"

[steps.trigger]
type = "demo.codex"

[steps.budget]
tokens = 500000
`,
  "flows/demo-codex/mend.md": `---
sandbox: workspace-write
approval_policy: untrusted
output: mend.schema.json
---
Change {{payload.file}} in the working directory. {{payload.wish}} Change nothing else, and do not commit.
`,
  "flows/demo-codex/mend.schema.json": JSON.stringify({
    type: "object",
    additionalProperties: false,
    required: ["file", "before", "after"],
    properties: { file: { type: "string" }, before: { type: "string" }, after: { type: "string" } },
  }),
};
const BEFORE = "console.log(`hello ${process.argv[2]}`);";
const AFTER = 'console.log(`hello ${process.argv[2] ?? "world"}`);';

const SCRIPT = [
  {
    answers: [
      together(
        message("Without a name it greets undefined: I give it a default."),
        patch("*** Update File: hello.mjs", "@@", `-${BEFORE}`, `+${AFTER}`),
      ),
      structured({
        status: "changed",
        message: "hello.mjs greets the world when no name is given",
        output: { file: "hello.mjs", before: "hello undefined", after: "hello world" },
      }),
    ],
  },
];

/** Returns whether it was shown to its end. */
export async function demoCodex(model: "fake" | "real"): Promise<boolean> {
  const home = await mkdtemp(homes);
  const fake = model === "fake" ? await FakeModel.start(SCRIPT) : undefined;
  try {
    heading("1", "a workspace with a git repository, and a flow package whose step is a prompt for Codex");
    await makeWorkspace(home, fake);
    console.log(
      fake === undefined
        ? `  ${pc.yellow("!")} the model is that of your own Codex login; what it does costs what it costs`
        : `  ${pc.yellow("!")} the model is a fake on this machine that plays a script, so that no account is needed; Codex itself is the real one`,
    );
    heading("2", "the edge (workerd) and a runner agent start on this machine");
    const shown = await onStage({ state: join(root, "state"), workspace }, (setup) => show(setup, model));
    if (shown) console.log(`\n${pc.green("✔")} done, and everything that was started is stopped.\n`);
    return shown;
  } finally {
    await fake?.stop();
    await rm(home, { recursive: true, force: true });
  }
}

async function makeWorkspace(home: string, fake: FakeModel | undefined): Promise<void> {
  await rm(root, { recursive: true, force: true });
  const config = fake === undefined ? {} : fakeModelConfig(fake.url, writeModelCatalog(home));
  const files = {
    ...PACKAGE,
    "app/hello.mjs": `${BEFORE}\n`,
    "event.json": JSON.stringify(event, null, 2),
    ".codex/runner.toml": stringify({ codex: { home: join(home, "codex-home"), config } }),
  };
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(workspace, path)), { recursive: true });
    await writeFile(join(workspace, path), text);
  }
  const identity = ["-c", "user.name=demo", "-c", "user.email=demo@example.org"];
  await execa("git", ["init", "--quiet", repository]);
  await execa("git", ["-C", repository, "add", "--all"]);
  await execa("git", ["-C", repository, ...identity, "commit", "--quiet", "--message", "hello"]);
}

async function show(setup: Setup, model: "fake" | "real"): Promise<void> {
  const { url, secrets } = setup;
  const client = createEdgeClient({ url, token: secrets.tokens.admin });
  const run = runId(await eventKey(event.id), 1);
  const reached = async (isSo: (view: RunView) => boolean): Promise<RunView> => {
    for (;;) {
      const view = await client.getRun(run);
      if (isSo(view) || isTerminal(view.status)) return view;
      await sleep(LOOK_AGAIN_MS);
    }
  };
  heading("3", "the event is sent; Codex starts to work");
  console.log(pc.dim(JSON.stringify(event)));
  await command(setup, ["dispatch", join(workspace, "event.json")]);

  const asks = (view: RunView): boolean => (view.pendingApprovals ?? 0) > 0;
  const waiting = await reached(asks);
  if (asks(waiting)) {
    heading("4", "Codex asks before it goes on, and waits");
    await command(setup, ["approvals", "list"]);
    if (model === "real") askTheUser(setup, run);
    else {
      heading("5", "somebody allows it, from a second terminal");
      await command(setup, ["approvals", "accept", run]);
    }
  }
  const view = await reached(() => false);
  heading("6", "what Codex did");
  await command(setup, ["runs", "logs", run]);
  await showWork(view);
  if (view.effectiveStatus !== "changed")
    throw new Error(`the run ended as ${view.effectiveStatus}: codex-flow runs show ${run} would say why`);
}

/** A real model is allowed things by a person only. */
function askTheUser({ url, secrets }: Setup, run: string): void {
  console.log(
    [
      "",
      "  Answer it from a second terminal, this one and whatever else it asks for:",
      `    export CODEX_FLOW_URL=${url} CODEX_FLOW_TOKEN=${secrets.tokens.admin}`,
      `    codex-flow approvals accept ${run}`,
    ].join("\n"),
  );
}

async function showWork({ result }: RunView): Promise<void> {
  const kept = result?.artifacts?.["workspace"];
  if (kept !== null && typeof kept === "object" && "path" in kept && typeof kept.path === "string") {
    heading("7", "the file that was changed, in a worktree that is kept since nobody has committed it");
    console.log(`\n${pc.cyan("$")} ${pc.bold(`git -C ${fromHere(kept.path)} diff`)}`);
    await execa("git", ["-C", kept.path, "--no-pager", "diff"], { stdio: ["ignore", "inherit", "inherit"] });
  }
  heading("8", "the result, in the form of the step's schema");
  console.log(JSON.stringify({ ...result, artifacts: { output: result?.artifacts?.["output"] } }, null, 2));
}
