/** Git that hangs in what it has started: who has to end is not held up, and nothing of it is left. */
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { once } from "node:events";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { changesSince } from "../../runner-agent/workspace/changes.ts";
import { commit, git } from "../support/git-repositories.ts";
import { processesWith } from "../support/run-processes.ts";
import { until } from "../support/until.ts";
import { box, expectNoTrace, made, prepare, refusal, type Box } from "../support/workspace-box.ts";

/** A host that takes connections and says nothing. */
async function silentHost(): Promise<{ port: number; connected: Socket[] }> {
  const connected: Socket[] = [];
  const server = createServer((socket) => connected.push(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of connected) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, connected };
}

/** Has git run a program for README.md that never ends, not by a signal either; only once there is a file `.ends`. */
async function hangingFilter(at: Box, kind: "smudge" | "clean"): Promise<string> {
  const filter = join(at.workspace, "..", "filter.sh");
  await writeFile(
    filter,
    `#!/bin/sh\n[ -e ${filter}.ends ] && exec cat\ntrap "" TERM\nHANGS=${filter} sleep 300\n`,
  );
  await chmod(filter, 0o755);
  await git(at.workspace, "config", `filter.hangs.${kind}`, filter);
  await writeFile(join(at.workspace, ".git/info/attributes"), "README.md filter=hangs\n");
  return filter;
}

/** A git that never says which commit was fetched. Returns its path. */
async function slowLook(at: Box): Promise<string> {
  const folder = join(at.workspace, "..", "slow-look");
  const path = process.env["PATH"] ?? "";
  const program = join(folder, "git");
  await mkdir(folder);
  const hang = `case "$*" in *rev-parse*refs/codex-flow/*) sleep 300;; esac`;
  await writeFile(program, `#!/bin/sh\n${hang}\nPATH=${path} exec git "$@"\n`);
  await chmod(program, 0o755);
  process.env["PATH"] = `${folder}:${path}`;
  onTestFinished(() => {
    process.env["PATH"] = path;
  });
  return program;
}

describe("a cancel ends a worktree that is being made", () => {
  test("while the host of its remote says nothing", async () => {
    const at = await box();
    const { port, connected } = await silentHost();
    await git(at.workspace, "remote", "set-url", "origin", `http://127.0.0.1:${port}/r.git`);
    const cancel = new AbortController();
    const refused = refusal(prepare(at, { ref: "later", signal: cancel.signal }));
    await until(() => connected[0]);
    cancel.abort();
    expect((await refused).code).toBe("workspace_canceled");
    expect(processesWith("cmdline", `:${port}/`)).toEqual([]);
    await expectNoTrace(at);
  });

  test("while a filter of its repository hangs", async () => {
    const at = await box();
    const filter = await hangingFilter(at, "smudge");
    const cancel = new AbortController();
    const refused = refusal(prepare(at, { signal: cancel.signal }));
    await until(() => processesWith("cmdline", filter)[0]);
    cancel.abort();
    expect((await refused).code).toBe("workspace_canceled");
    expect(processesWith("cmdline", filter)).toEqual([]);
    await expectNoTrace(at);
  });
});

test("a cancel ends one that waits for a place, while what was kept is looked at and a filter in it hangs", async () => {
  const at = await box({ quota: { max: 1, maxGb: 20 } });
  const kept = made(await prepare(at));
  await writeFile(join(kept.root, "work.txt"), "");
  await kept.release();
  const filter = await hangingFilter(at, "clean");
  // As long as before, so that git has to read it.
  await writeFile(join(kept.root, "README.md"), "HELLO\n");
  const cancel = new AbortController();
  const refused = refusal(prepare(at, { signal: cancel.signal }));
  await until(() => processesWith("cmdline", filter)[0]);
  cancel.abort();
  expect((await refused).code).toBe("workspace_canceled");
  await writeFile(`${filter}.ends`, "");
  for (const pid of [...processesWith("cmdline", filter), ...processesWith("environ", `HANGS=${filter}`)])
    process.kill(Number(pid), "SIGKILL");
  // Those behind it get their turn, and the place is still taken by what was there before, alone.
  expect((await refusal(prepare(at))).code).toBe("workspace_quota");
  expect((await at.workspaces.list()).map(({ attempt }) => attempt)).toEqual([kept.attempt]);
});

test("a cancel behind a fetch leaves no ref of it", async () => {
  const at = await box();
  await commit(at.elsewhere, { "later.txt": "1" });
  await git(at.elsewhere, "push", "--quiet", "origin", "HEAD:refs/heads/later");
  const looks = await slowLook(at);
  const cancel = new AbortController();
  const refused = refusal(prepare(at, { ref: "later", signal: cancel.signal }));
  await until(() => processesWith("cmdline", looks)[0]);
  cancel.abort();
  expect((await refused).code).toBe("workspace_canceled");
  await expectNoTrace(at);
});

test("what is changed in a worktree is asked no longer than it may take, though a filter hangs", async () => {
  const at = await box();
  const { root, base } = made(await prepare(at));
  const filter = await hangingFilter(at, "clean");
  await writeFile(join(root, "README.md"), "bye\n");
  await expect(changesSince(base, root)).rejects.toMatchObject({ code: "workspace_timeout" });
  // The first of several that look is over; the others end by themselves.
  await until(() => (processesWith("cmdline", filter).length === 0 ? true : undefined));
});
