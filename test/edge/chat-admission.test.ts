/** Admission around an act, when the object that keeps the audit fails after it has admitted. */
import { afterEach, expect, test, vi } from "vitest";
import { ConflictError } from "../../contract/errors.ts";
import type { Asker } from "../../worker/chat/asker.ts";
import { withAdmission } from "../../worker/chat/access.ts";
import { said, type ChatAnswer } from "../../worker/chat/answer.ts";
import type { Env } from "../../worker/env.ts";

const ADA: Asker = {
  place: { platform: "discord", channel: "2" },
  tenant: "1",
  user: { id: "3", name: "ada" },
  roles: [],
  administrator: true,
  requestId: "4",
};

afterEach(() => {
  vi.restoreAllMocks();
});

/** It admits everybody, `again` as repetitions; `fails` times it cannot write down what came of it. */
function access(fails: number, again = false): { env: Env; concluded: string[]; logged: string[] } {
  const concluded: string[] = [];
  const logged: string[] = [];
  vi.spyOn(console, "error").mockImplementation((line: string) => void logged.push(line));
  let left = fails;
  const object = {
    admit: async () => Promise.resolve({ verdict: "allowed", row: 7, again, scopes: ["admin"] }),
    conclude: async (_row: number, outcome: string) => {
      left -= 1;
      if (left >= 0) return Promise.reject(new Error("the object was reset"));
      concluded.push(outcome);
      return Promise.resolve();
    },
  };
  return { env: { CHAT_ACCESS: { getByName: () => object } } as unknown as Env, concluded, logged };
}

const act = (env: Env, does: () => ChatAnswer, asker = ADA): Promise<ChatAnswer> =>
  withAdmission<ChatAnswer>(env, asker, { scope: "run:start", act: "start" }, does);

test("what was done is answered as done, also when that cannot be written down; then it is logged", async () => {
  const { env, concluded, logged } = access(2);
  expect(await act(env, () => said("started run_1", "Started"))).toMatchObject({
    message: { title: "Started" },
  });
  expect(concluded).toEqual([]);
  expect(logged).toEqual([expect.stringContaining("started run_1")]);
});

test("what could not be written down comes again where the platform repeats it, and is over then", async () => {
  const ben: Asker = { ...ADA, place: { platform: "telegram", channel: "2" } };
  const start = (env: Env): Promise<ChatAnswer> => act(env, () => said("started run_1", "Started"), ben);
  await expect(start(access(2).env)).rejects.toThrow("the object was reset");
  const { env, logged } = access(2, true);
  expect(await start(env)).toMatchObject({ message: { title: "Started" } });
  expect(logged).toEqual([expect.stringContaining("started run_1")]);
});

test("an object that comes back at once has the outcome, once", async () => {
  const { env, concluded, logged } = access(1);
  await act(env, () => said("started run_1", "Started"));
  expect([concluded, logged]).toEqual([["started run_1"], []]);
});

test("a refusal is answered with its own reason, and a failure of the act with its own error", async () => {
  const { env } = access(4);
  const refused = await act(env, () => {
    throw new ConflictError("run_over", "it is over");
  });
  expect(refused).toMatchObject({ outcome: "refused: run_over" });
  const failed = act(env, () => {
    throw new TypeError("a bug");
  });
  await expect(failed).rejects.toThrow("a bug");
});
