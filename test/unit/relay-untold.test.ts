/** What a relay has left untold, told later by somebody else: to which edge, how often, and what stays when it cannot be. */
import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { Journal } from "../../runner-agent/journal/journal.ts";
import {
  announceSession,
  foldersLeftWithJournal,
  journalIn,
  makeRelayFolder,
} from "../../runner-agent/relay/relay-folder.ts";
import { noteEdge, tellRest, tellUntold } from "../../runner-agent/relay/untold.ts";
import { startFakeRunEdge, type FakeRunEdge } from "../support/fake-run-edge.ts";
import { temporaryFolder } from "../support/flow-workspace.ts";
import { ATTEMPT, END } from "../support/run-link-life.ts";

const NEVER = new AbortController().signal;

beforeEach(async () => {
  vi.stubEnv("TMPDIR", await temporaryFolder());
  onTestFinished(() => {
    vi.unstubAllEnvs();
  });
});

const edgeOf = ({ server }: FakeRunEdge) => ({ url: server.url.replace(/^ws/, "http"), token: "t" });

/** The folder of a session that has said two words and is over; or `cut`, whose relay was killed before. */
async function untold(edge: FakeRunEdge, how: "over" | "cut" = "over"): Promise<string> {
  const folder = await makeRelayFolder();
  const journal = new Journal(journalIn(folder));
  noteEdge(journal, edgeOf(edge).url);
  journal.begin(ATTEMPT);
  for (const word of ["first\n", "last\n"]) journal.appendOutput(ATTEMPT, "stdout", word, 1);
  if (how === "over") journal.appendEnd(ATTEMPT, END);
  journal.close();
  return folder;
}

const said = ({ committed }: FakeRunEdge): unknown[] => committed.map(({ what }) => what);

test("all of it is told once, and its journal is gone", async () => {
  const edge = await startFakeRunEdge();
  const folder = await untold(edge);
  expect(await tellRest(folder, edgeOf(edge), NEVER)).toEqual({ kind: "told", runId: ATTEMPT.runId });
  expect(said(edge)).toEqual(["first\n", "last\n", "end: exited"]);
  expect(existsSync(journalIn(folder))).toBe(false);
  expect(edge.faults).toEqual([]);
});

test("an edge that has taken it and whose word was lost is not told anything twice", async () => {
  const edge = await startFakeRunEdge();
  edge.acknowledges = false;
  const folder = await untold(edge);
  const stop = new AbortController();
  const first = tellRest(folder, edgeOf(edge), stop.signal);
  await edge.server.signal.until(() => edge.committed.length === 3);
  stop.abort();
  expect(await first).toMatchObject({ kind: "away" });
  expect(existsSync(journalIn(folder))).toBe(true);
  edge.acknowledges = true;
  expect(await tellRest(folder, edgeOf(edge), NEVER)).toMatchObject({ kind: "told" });
  expect(said(edge)).toHaveLength(3);
  expect(edge.faults).toEqual([]);
});

test("of a relay that was killed, it is said that it was", async () => {
  const edge = await startFakeRunEdge();
  await tellRest(await untold(edge, "cut"), edgeOf(edge), NEVER);
  expect(said(edge)).toEqual(["first\n", "last\n", "end: abandoned"]);
});

test("another edge is told nothing, and the one that it belongs to is named", async () => {
  const [edge, other] = [await startFakeRunEdge(), await startFakeRunEdge()];
  const folder = await untold(edge);
  expect(await tellRest(folder, edgeOf(other), NEVER)).toEqual({ kind: "other_edge", url: edgeOf(edge).url });
  expect(other.received).toEqual([]);
  // The same one, written otherwise.
  const { url, token } = edgeOf(edge);
  expect(await tellRest(folder, { url: `${url}/`, token }, NEVER)).toMatchObject({ kind: "told" });
});

test("what the edge does not want any more is owed no longer", async () => {
  const edge = await startFakeRunEdge();
  edge.resumes = { code: "unknown_lease", message: "no such lease" };
  const folder = await untold(edge);
  expect(await tellRest(folder, edgeOf(edge), NEVER)).toMatchObject({ kind: "told" });
  expect(existsSync(journalIn(folder))).toBe(false);
});

test("a session that runs is its relay's alone, and a journal that is open is whose it is", async () => {
  const edge = await startFakeRunEdge();
  const [running, open, left] = [await untold(edge), await untold(edge), await untold(edge)];
  const session = { agent: "a", workdir: "/", runId: ATTEMPT.runId, attempt: 1, folder: running };
  const withdraw = await announceSession(session);
  expect((await foldersLeftWithJournal()).sort()).toEqual([open, left].sort());
  await withdraw();
  expect(await foldersLeftWithJournal()).toContain(running);
  const journal = new Journal(journalIn(open));
  onTestFinished(() => {
    journal.close();
  });
  expect(await tellRest(open, edgeOf(edge), NEVER)).toEqual({ kind: "busy" });
});

test("one that cannot be told keeps none of the others from it, and nobody is disturbed by it", async () => {
  const edge = await startFakeRunEdge();
  const broken = await makeRelayFolder();
  await mkdir(journalIn(broken));
  const folders = [await untold(edge), await makeRelayFolder()];
  const lines: string[] = [];
  await tellUntold(edgeOf(edge), (_level, message) => lines.push(message), NEVER);
  expect(said(edge)).toHaveLength(3);
  expect(existsSync(join(folders[0] ?? "", "journal.sqlite"))).toBe(false);
  expect(lines.join("\n")).toContain("told the rest of an earlier session");
});
