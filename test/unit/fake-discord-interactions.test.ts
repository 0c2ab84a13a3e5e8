/** How the fake Discord signs, sends and judges interactions: so that tests of an endpoint can trust it. */
import { verifyKey } from "discord-interactions";
import { execa } from "execa";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { projectPath } from "../../scripts/project.ts";
import { button, call, QUIET, row, text, V2 } from "../support/discord-caller.ts";
import { DM, FakeDiscord, NO_LIMITS, type Options } from "../support/fake-discord/index.ts";
import { startEndpoint, type Posted } from "../support/http-endpoint.ts";

const EPHEMERAL = 64;

let fake: FakeDiscord;

async function start(options: Options = {}): Promise<FakeDiscord> {
  const started = await FakeDiscord.start({ limits: NO_LIMITS, heldClock: true, ...options });
  onTestFinished(() => started.stop());
  return started;
}

beforeEach(async () => {
  fake = await start();
});

/** Answers what it is told, and 401 to a bad signature. */
function endpoint(answer: unknown): Promise<string> {
  return startEndpoint(async (posted) =>
    (await isSigned(posted))
      ? {
          status: 200,
          body:
            typeof answer === "function"
              ? (answer as (payload: unknown) => unknown)(JSON.parse(posted.body))
              : answer,
        }
      : { status: 401 },
  );
}

async function isSigned({ headers, body }: Posted): Promise<boolean> {
  const [signature, timestamp] = [headers["x-signature-ed25519"], headers["x-signature-timestamp"]];
  if (typeof signature !== "string" || typeof timestamp !== "string") return false;
  return verifyKey(body, signature, timestamp, fake.publicKey);
}

const rules = () => fake.faults.map(({ rule }) => rule);
const message = (data: Record<string, unknown>) => ({ type: 4, data: { ...QUIET, ...data } });
const followUp = (token: string, body: Record<string, unknown>, rest = "", method = "POST") =>
  call(
    fake,
    method,
    `/webhooks/${fake.app.id}/${token}${rest}`,
    { ...QUIET, ...body },
    { authorization: "" },
  );

describe("the endpoint's registration", () => {
  const register = (url: string) =>
    call(fake, "PATCH", "/applications/@me", { interactions_endpoint_url: url });

  test("takes one that answers a PING and refuses a bad signature", async () => {
    const url = await endpoint({ type: 1 });
    expect((await register(url)).status).toBe(200);
    expect(fake.endpointUrl).toBe(url);
    expect((await call(fake, "GET", "/applications/@me")).body["verify_key"]).toBe(fake.publicKey);
    expect(rules()).toEqual([]);
  });

  test.each([
    ["takes every signature", () => ({ status: 200, body: { type: 1 } })],
    ["refuses every signature", () => ({ status: 401 })],
    [
      "answers a PING with something else",
      async (posted: Posted) => ((await isSigned(posted)) ? { status: 200, body: {} } : { status: 401 }),
    ],
    [
      "answers as text",
      async (posted: Posted) =>
        (await isSigned(posted)) ? { status: 200, body: { type: 1 }, type: "text/plain" } : { status: 401 },
    ],
  ])("refuses one that %s", async (_, answer) => {
    const refused = await register(await startEndpoint(answer));
    expect(refused.body).toMatchObject({ code: 50035, errors: { interactions_endpoint_url: {} } });
    expect(fake.endpointUrl).toBeUndefined();
  });
});

describe("a payload", () => {
  test("tells the member with roles and permissions, or the user in direct messages", async () => {
    const role = fake.addRole("operators");
    const by = fake.addUser({ username: "bob", roles: [role.id], permissions: "8" });
    const seen: Array<Record<string, unknown>> = [];
    const url = await endpoint((payload: Record<string, unknown>) => {
      seen.push(payload);
      return message({ content: "ok" });
    });
    await fake.interact(url, fake.command("run group start", { prompt: "x", loud: true, count: 2 }, { by }));
    await fake.interact(url, fake.command("run", {}, { in: fake.addChannel(DM, fake.alice.id) }));
    expect(seen[0]).toMatchObject({
      type: 2,
      guild_id: fake.guild.id,
      channel_id: fake.text.id,
      member: { user: { id: by.id }, roles: [role.id], permissions: "8" },
      data: {
        name: "run",
        options: [
          {
            type: 2,
            name: "group",
            options: [
              {
                type: 1,
                name: "start",
                options: [
                  { name: "prompt", type: 3, value: "x" },
                  { name: "loud", type: 5, value: true },
                  { name: "count", type: 4, value: 2 },
                ],
              },
            ],
          },
        ],
      },
    });
    expect(seen[1]).toMatchObject({ user: { id: fake.alice.id }, context: 1 });
    expect(seen[1]).not.toHaveProperty("member");
    expect(rules()).toEqual([]);
  });

  test("of a message command has the whole message, although the bot cannot read it", async () => {
    const said = fake.say(fake.text, fake.alice, "the bug is in a.ts");
    const payload = fake.messageCommand("Send to Codex", said);
    expect(payload.data).toMatchObject({
      target_id: said.id,
      resolved: { messages: { [said.id]: { content: "the bug is in a.ts" } } },
    });
  });

  test("cannot be made of a button that is not there", async () => {
    const said = fake.say(fake.text, fake.alice, "x");
    expect(() => fake.button(said, "v1:gone")).toThrow("has no v1:gone");
    expect(fake.button(said, "v1:gone", { anyway: true }).data).toMatchObject({ custom_id: "v1:gone" });
  });
});

describe("an answer", () => {
  test("with a message, for all or for one", async () => {
    const url = await endpoint((payload: { data: { name: string } }) =>
      message({ content: payload.data.name, flags: payload.data.name === "secret" ? EPHEMERAL : 0 }),
    );
    const open = await fake.interact(url, fake.command("open"));
    const secret = await fake.interact(url, fake.command("secret"));
    expect([open.what, secret.what]).toEqual(["message", "message"]);
    expect(fake.messages(fake.text.id).map(({ content }) => content)).toEqual(["open"]);
    expect(fake.messages(fake.text.id, fake.alice).map(({ content }) => content)).toEqual(["open", "secret"]);
    expect(
      (await call(fake, "GET", `/channels/${fake.text.id}/messages/${secret.message?.id ?? ""}`)).body.code,
    ).toBe(10008);
    await followUp(secret.token, { content: "changed" }, "/messages/@original", "PATCH");
    expect(secret.message?.history.map(({ content }) => content)).toEqual(["secret", "changed"]);
    expect(secret.message?.ephemeralFor).toBe(fake.alice.id);
  });

  test("that is deferred, and shown later with V2 components", async () => {
    const url = await endpoint({ type: 5, data: { flags: EPHEMERAL } });
    const shown = await fake.interact(url, fake.command("run"));
    expect(shown.what).toBe("thinking");
    const card = { flags: V2, components: [text("a run")] };
    expect((await followUp(shown.token, card, "/messages/@original", "PATCH")).status).toBe(200);
    expect(shown.message).toMatchObject({ flags: V2 | EPHEMERAL, ephemeralFor: fake.alice.id });
    expect((await followUp(shown.token, { content: "more" })).status).toBe(200);
    expect(fake.messages(fake.text.id).map(({ content }) => content)).toEqual(["more"]);
    expect(rules()).toEqual([]);
  });

  test("to a button updates its message; a modal comes back filled in", async () => {
    const input = {
      type: 18,
      label: "Text",
      component: { type: 4, custom_id: "text", style: 2, max_length: 5 },
    };
    const form = { type: 9, data: { custom_id: "v1:form", title: "Reply", components: [input] } };
    const seen: Array<{ type: number; data: Record<string, unknown> }> = [];
    const url = await endpoint((payload: { type: number; data: Record<string, unknown> }) => {
      seen.push(payload);
      if (payload.type === 2) return message({ content: "card", components: [row(button("reply"))] });
      return payload.type === 3 ? form : { type: 7, data: { ...QUIET, content: "replied", components: [] } };
    });
    const card = await fake.interact(url, fake.command("run"));
    if (card.message === undefined) throw new Error("no card");
    const opened = await fake.interact(url, fake.button(card.message, "reply"));
    expect(opened.what).toBe("modal");
    expect(() => fake.modalSubmit(opened.modal, { text: "too long" })).toThrow("0 to 5 characters");
    expect(() => fake.modalSubmit(opened.modal, {})).toThrow("required");
    const done = await fake.interact(url, fake.modalSubmit(opened.modal, { text: "hello" }));
    expect(done.what).toBe("update");
    expect(seen[2]?.data).toMatchObject({
      custom_id: "v1:form",
      components: [{ type: 18, component: { custom_id: "text", value: "hello" } }],
    });
    expect(card.message.history.map(({ content }) => content)).toEqual(["card", "replied"]);
    expect(rules()).toEqual([]);
  });

  const field = { type: 18, label: "x", component: { type: 4, custom_id: "x", style: 1 } };
  const fields = Array.from({ length: 6 }, (_, n) => ({
    ...field,
    component: { ...field.component, custom_id: `x${n}` },
  }));
  const modal = (data: Record<string, unknown>) => ({
    type: 9,
    data: { custom_id: "x", title: "x", components: [field], ...data },
  });
  test.each([
    ["mentions left on", { type: 4, data: { content: "x" } }, "mentions_on"],
    ["an unknown field", message({ contnet: "x" }), "schema"],
    ["a deferral with content", { type: 5, data: { content: "x" } }, "deferred_data"],
    ["a deferral with the V2 flag", { type: 5, data: { flags: V2 } }, "deferred_data"],
    ["an update of no message", { type: 7, data: QUIET }, "answer_type"],
    ["choices to a command", { type: 8, data: { choices: [] } }, "answer_type"],
    ["a title of 46", modal({ title: "x".repeat(46) }), "schema"],
    ["six components in a modal", modal({ components: fields }), "modal_components"],
    ["a custom_id twice in a modal", modal({ components: [field, field] }), "custom_id_duplicate"],
    [
      "an input with a label in a label",
      modal({ components: [{ ...field, component: { ...field.component, label: "x" } }] }),
      "modal_label",
    ],
    ["no JSON object", "pong", "wrong_answer"],
  ])("with %s is a fault", async (_, answer, rule) => {
    const shown = await fake.interact(await endpoint(answer), fake.command("run"));
    expect(shown.faults.map((fault) => fault.rule)).toEqual([rule]);
    expect(shown.what).toBe(rule === "mentions_on" ? "message" : "failed");
  });

  test("that does not come in time makes the token void", async () => {
    fake = await start({ answerMs: 50 });
    const shown = await fake.interact(await startEndpoint(() => undefined), fake.command("run"));
    expect(shown).toMatchObject({ what: "failed", status: undefined });
    expect(rules()).toEqual(["no_answer"]);
    expect((await followUp(shown.token, { content: "x" })).body.code).toBe(10015);
  });
});

describe("autocomplete", () => {
  const choices = (...values: unknown[]) => ({
    type: 8,
    data: { choices: values.map((value, n) => ({ name: `c${n}`, value })) },
  });

  test("shows choices that fit the option's type, 25 at most", async () => {
    const ask = async (answer: unknown) => {
      const shown = await fake.interact(
        await endpoint(answer),
        fake.autocomplete("run say", { run: "a" }, "run"),
      );
      return [shown.what, shown.choices?.length, shown.faults[0]?.rule];
    };
    expect(await ask(choices("a", "b"))).toEqual(["choices", 2, undefined]);
    expect(await ask(choices(1))).toEqual(["failed", undefined, "choice_type"]);
    expect(await ask(choices(...Array<string>(26).fill("x")))).toEqual(["failed", undefined, "schema"]);
    expect(await ask(message({ content: "x" }))).toEqual(["failed", undefined, "answer_type"]);
  });
});

describe("follow-ups", () => {
  test("meet 10015 for a while, and 50027 after a quarter of an hour", async () => {
    fake = await start({ followUpRaceMs: 1_000 });
    const shown = await fake.interact(await endpoint({ type: 5 }), fake.command("run"));
    const patch = async () =>
      (await followUp(shown.token, { content: "x" }, "/messages/@original", "PATCH")).body.code;
    expect(await patch()).toBe(10015);
    fake.advance(1_000);
    expect(await patch()).toBeUndefined();
    fake.advance(15 * 60_000);
    expect(await patch()).toBe(50027);
    expect(fake.invalidRequests).toBe(1);
    expect((await followUp("nobody's", { content: "x" })).body.code).toBe(10015);
  });
});

describe("a request of somebody else", () => {
  test.each(["forged", "tampered", "truncated", "unsigned", "no_timestamp", "short"] as const)(
    "%s has to be refused",
    async (spoil) => {
      const right = await fake.interact(await endpoint(message({ content: "x" })), fake.command("run"), {
        spoil,
      });
      expect(right).toMatchObject({ status: 401, what: "failed", faults: [] });
      const careless = await startEndpoint(() => ({ status: 200, body: message({ content: "x" }) }));
      await fake.interact(careless, fake.command("run"), { spoil });
      expect(rules()).toEqual(["accepted_spoiled"]);
      expect(fake.messages(fake.text.id)).toEqual([]);
    },
  );

  test("stale, replayed or signed anew bears a right signature", async () => {
    const seen: Posted[] = [];
    const url = await startEndpoint(async (posted) => {
      seen.push(posted);
      return { status: (await isSigned(posted)) ? 200 : 401, body: message({ content: "x" }) };
    });
    await fake.interact(url, fake.command("run"), { staleMs: 600_000 });
    const shown = await fake.interact(url, fake.command("run"));
    expect((await fake.replay(shown)).status).toBe(200);
    expect((await fake.resign(shown)).status).toBe(200);
    const times = seen.map(({ headers }) => Number(headers["x-signature-timestamp"]));
    expect(times.map((time) => time - (times[1] ?? 0))).toEqual([-600, 0, 0, 1]);
    expect(new Set(seen.slice(1).map(({ body }) => body)).size).toBe(1);
    expect(seen[2]?.headers["x-signature-ed25519"]).toBe(seen[1]?.headers["x-signature-ed25519"]);
    expect(seen[3]?.headers["x-signature-ed25519"]).not.toBe(seen[1]?.headers["x-signature-ed25519"]);
    expect(fake.messages(fake.text.id)).toHaveLength(1);
  });
});

test("as a program it prints what a Worker has to be told", async () => {
  const program = execa(process.execPath, [projectPath("test/support/fake-discord/main.ts")], {
    reject: false,
  });
  try {
    for await (const line of program) {
      const told = JSON.parse(line) as {
        url: string;
        publicKey: string;
        botToken: string;
        channelId: string;
      };
      expect(told.publicKey).toMatch(/^[0-9a-f]{64}$/);
      const headers = {
        authorization: `Bot ${told.botToken}`,
        "user-agent": "DiscordBot (https://example.com, 1.0)",
      };
      expect((await fetch(`${told.url}/channels/${told.channelId}`, { headers })).status).toBe(200);
      program.kill();
    }
  } finally {
    program.kill();
  }
  expect((await program).exitCode).toBe(0);
});
