/** An object that the platform calls overloaded is no fault of the sender's, and none of ours to hide. */
import { createExecutionContext } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import worker from "../../worker/index.ts";
import { expectError, TOKENS } from "./support/api.ts";

test("an overloaded object answers 503 with a code and when to try again", async () => {
  const overloaded = {
    getByName: () => {
      throw Object.assign(new Error("Durable Object is overloaded."), { overloaded: true });
    },
  };
  const request = new Request("https://edge/events/any", {
    headers: { authorization: `Bearer ${TOKENS.read}` },
  });
  const answer = await worker.fetch(
    request as Request<unknown, IncomingRequestCfProperties>,
    { ...env, EVENTS: overloaded },
    createExecutionContext(),
  );
  expect(answer.headers.get("retry-after")).toBe("1");
  expect((await expectError(answer, 503)).code).toBe("overloaded");
});
