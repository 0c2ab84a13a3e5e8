/** Who a runner is: the id and the key of its journal, and how a pool tells a restart from a copied machine. */
import { join } from "node:path";
import { onTestFinished, expect, test } from "vitest";
import { claimProof, newClaimKey, provesOffer } from "../../contract/claim-proof.ts";
import { nextProcess, type AgentProcesses } from "../../durable-objects/runner-pool/hello.ts";
import { renewRunnerIdentity, runnerIdentity } from "../../runner-agent/journal/identity.ts";
import { Journal } from "../../runner-agent/journal/journal.ts";
import { temporaryFolder } from "../support/flow-workspace.ts";

test("a journal keeps its runner's id and key over restarts, until it is given a new identity", async () => {
  const path = join(await temporaryFolder(), "journal.sqlite");
  const first = new Journal(path);
  const identity = runnerIdentity(first);
  expect(identity.runnerId).toMatch(/^runner_[0-9a-f]{16}$/);
  expect(identity.key).toMatch(/^[\w-]{43}$/);
  first.close();

  const second = new Journal(path);
  onTestFinished(() => {
    second.close();
  });
  expect(runnerIdentity(second)).toEqual(identity);
  const renewed = renewRunnerIdentity(second);
  expect(renewed.runnerId).not.toBe(identity.runnerId);
  expect(renewed.key).not.toBe(identity.key);
  expect(runnerIdentity(second)).toEqual(renewed);
});

test("a proof of an offer counts for one claim key, one attempt and one runner", () => {
  const key = newClaimKey();
  const proof = claimProof(key, 1, "runner_1");
  expect(provesOffer(key, { attempt: 1, runnerId: "runner_1", proof })).toBe(true);
  expect(provesOffer(key, { attempt: 2, runnerId: "runner_1", proof })).toBe(false);
  expect(provesOffer(key, { attempt: 1, runnerId: "runner_2", proof })).toBe(false);
  expect(provesOffer(newClaimKey(), { attempt: 1, runnerId: "runner_1", proof })).toBe(false);
  expect(provesOffer(key, { attempt: 1, runnerId: "runner_1", proof: "" })).toBe(false);
});

/** Lets agents say hello in this order, each while the one before is connected, and returns those that are refused. */
function copiesFound(hellos: string[]): string[] {
  let known: AgentProcesses | undefined;
  return hellos.filter((process) => {
    const next = nextProcess({ process }, known, known !== undefined);
    if (next === "copied") return true;
    known = next;
    return false;
  });
}

test("of any number of running copies of one journal, each but the newest is refused at its second hello", () => {
  expect(copiesFound(["a", "b", "a", "b", "b"])).toEqual(["a"]);
  expect(copiesFound(["a", "b", "c", "a", "b", "c"])).toEqual(["a", "b"]);
});

test("an agent that reconnects, or is restarted any number of times, is no copy", () => {
  expect(copiesFound(["a", "a", "b", "b", "c", "c"])).toEqual([]);
  expect(copiesFound(Array.from({ length: 30 }, (_unused, at) => `start ${at}`))).toEqual([]);
});
