import { exports } from "cloudflare:workers";
import { expect, test } from "vitest";

test("/healthz is open to all", async () => {
  const answer = await exports.default.fetch("https://edge/healthz");
  expect(answer.status).toBe(200);
  expect(await answer.json()).toEqual({ ok: true });
});

test("/flows knows the flows of the test", async () => {
  const answer = await exports.default.fetch("https://edge/flows", {
    headers: { authorization: "Bearer test-read-token" },
  });
  const { flows } = await answer.json<{ flows: { name: string }[] }>();
  expect(flows.map((flow) => flow.name)).toEqual(["release", "lab"]);
});
