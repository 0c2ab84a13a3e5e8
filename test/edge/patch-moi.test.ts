/**
 * patch.moi in its service version, unchanged: the requests that its client sends, told anew from its description, and
 * what it reads from the answers. It can be given an address and an HMAC secret, and no token.
 */
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { call, expectError, expectJson, freshId, PATH_TOKEN, untilStatus } from "./support/api.ts";
import { FakeRunner } from "./support/fake-runner.ts";
import { deployStep } from "./support/flow-catalog.ts";
import { flowSignature } from "./support/sign.ts";
import { closeSockets } from "./support/socket.ts";
import { endObjects } from "./support/tidy.ts";

afterEach(closeSockets);
afterAll(endObjects);

interface Dispatched {
  status: string;
  runIds: string[];
  matched: number;
  idempotent: boolean;
}

/** PATCH_WORKSPACE_BACKEND_URL as its owner writes it; patch.moi cuts `/events` off and appends its own paths. */
function client(backendUrl: string) {
  const base = backendUrl.replace(/\/(?:events|flow-events)\/?$/, "").replace(/\/+$/, "");
  const post = async (path: string, value: unknown): Promise<Response> => {
    const body = JSON.stringify(value);
    const headers = {
      accept: "application/json",
      "content-type": "application/json",
      "x-flow-signature-256": await flowSignature(body),
    };
    return call("POST", `${base}${path}`, { token: null, headers, body });
  };
  const get = async (path: string): Promise<Response> =>
    call("GET", `${base}${path}`, { token: null, headers: { accept: "application/json" } });
  return {
    dispatch: async (event: object) => expectJson<Dispatched>(post("/events", event), 202),
    // Its replay asks for no wait.
    replay: async (id: string) =>
      expectJson<Dispatched>(post(`/events/${encodeURIComponent(id)}/replay`, { wait: false }), 202),
    run: async (id: string) => get(`/runs/${encodeURIComponent(id)}`),
    runs: async (query = "") => get(`/runs${query}`),
    event: async (id: string) => get(`/events/${encodeURIComponent(id)}`),
  };
}

function release(type: string): { id: string; type: string; source: string; payload: object } {
  return {
    id: `patch:${type}:openai/codex:${freshId("rust")}`,
    type,
    source: "patch",
    payload: { repo: "openai/codex", tag: "rust-v0.130.0" },
  };
}

const CANDIDATE = { ref: "refs/heads/candidate/rust-v0.130.0", sha: "0123456789abcdef" };

describe("patch.moi with a token in its backend's address", () => {
  test.each(["", "/", "/events", "/flow-events/"])(
    "patch.moi dispatches, retries, replays and syncs with the address …/t/<token>%s",
    async (ending) => {
      const { type, pool } = deployStep();
      const runner = await FakeRunner.connect(pool, { capacity: 2 });
      const patch = client(`/t/${PATH_TOKEN}${ending}`);
      const event = release(type);

      const dispatched = await patch.dispatch(event);
      expect(dispatched).toMatchObject({ status: "accepted", matched: 1, idempotent: false });
      const [runId = ""] = dispatched.runIds;
      await runner.complete(runId, { status: "completed", artifacts: { candidateRefs: [CANDIDATE] } });
      await untilStatus(runId, "completed");

      const retried = await patch.dispatch(event);
      expect(retried).toMatchObject({ status: "duplicate", runIds: [runId], idempotent: true });

      // What its sync reads of a run.
      expect(await expectJson(patch.run(runId), 200)).toMatchObject({
        run: {
          status: "completed",
          result: { status: "completed", artifacts: { candidateRefs: [CANDIDATE] } },
        },
      });
      expect(await expectJson(patch.runs(`?eventId=${encodeURIComponent(event.id)}`), 200)).toMatchObject({
        runs: [{ id: runId }],
      });

      const replayed = await patch.replay(event.id);
      expect(replayed).toMatchObject({ status: "accepted", matched: 1, idempotent: false });
      expect(replayed.runIds).not.toEqual([runId]);
      expect(await expectJson(patch.event(event.id), 200)).toMatchObject({
        event: { id: event.id, source: "patch" },
        runs: [{ id: replayed.runIds[0] }, { id: runId }],
      });
    },
  );
});

describe("patch.moi with its HMAC secret alone", () => {
  test("patch.moi with an HMAC secret alone dispatches, retries and replays, and may not read", async () => {
    const patch = client("/events");
    const event = release(deployStep().type);
    const { runIds } = await patch.dispatch(event);
    expect(await patch.dispatch(event)).toMatchObject({ status: "duplicate", runIds, idempotent: true });
    const replayed = await patch.replay(event.id);
    expect(replayed).toMatchObject({ matched: 1 });
    expect(replayed.runIds).toHaveLength(1);
    await expectError(patch.run(runIds[0] ?? ""), 401);
    await expectError(patch.runs(), 401);
  });
});
