/** Bodies as senders really send them: compressed, growing when they are written again, with numbers no double holds. */
import { brotliCompressSync } from "node:zlib";
import { afterAll, describe, expect, test } from "vitest";
import { EVENT_MAX_BYTES } from "../../contract/limits.ts";
import { call, eventOf, eventStub, expectError, expectJson, freshId, stored, TOKENS } from "./support/api.ts";
import { flowSignature } from "./support/sign.ts";
import { endObjects } from "./support/tidy.ts";

afterAll(endObjects);

async function packed(text: string, format: "gzip" | "deflate" | "br"): Promise<Uint8Array> {
  if (format === "br") return brotliCompressSync(text, { params: {} });
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream(format));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function newEvent(): { id: string; type: string; payload: object } {
  return { id: freshId("packed"), type: "nobody.waits", payload: { text: "ü ✓" } };
}

async function sendPacked(encoding: string, body: Uint8Array, more: object = {}): Promise<Response> {
  return call("POST", "/events", { headers: { "content-encoding": encoding, ...more }, body });
}

describe("a compressed body", () => {
  test.each([
    ["gzip", "gzip"],
    ["x-gzip", "gzip"],
    ["GZIP", "gzip"],
    ["deflate", "deflate"],
    ["br", "br"],
  ] as const)("a body with content-encoding %s is unpacked", async (encoding, format) => {
    const event = newEvent();
    await expectJson(sendPacked(encoding, await packed(JSON.stringify(event), format)), 202);
    expect((await eventOf(event.id)).event).toMatchObject({ payload: event.payload });
  });

  test("a compressed body is signed over the bytes as sent, not over what they unpack to", async () => {
    const event = newEvent();
    const text = JSON.stringify(event);
    const body = await packed(text, "gzip");
    const headers = { "content-encoding": "gzip" };
    const unpacked = { ...headers, "x-flow-signature-256": await flowSignature(text) };
    await expectError(call("POST", "/events", { token: null, headers: unpacked, body }), 401);
    const sent = { ...headers, "x-flow-signature-256": await flowSignature(body) };
    await expectJson(call("POST", "/events", { token: null, headers: sent, body }), 202);
  });

  test("a compressed body that unpacks to more than the bound is refused before it fills the memory", async () => {
    for (const format of ["gzip", "deflate", "br"] as const) {
      const bomb = await packed("0".repeat(16 * EVENT_MAX_BYTES), format);
      expect(bomb.length).toBeLessThan(EVENT_MAX_BYTES);
      expect((await expectError(sendPacked(format, bomb), 413)).message).toContain("unpacked");
    }
  });

  test("a body that is not what its content-encoding says is a 400 that names the header", async () => {
    for (const encoding of ["gzip", "deflate", "br"]) {
      const error = await expectError(sendPacked(encoding, new TextEncoder().encode("{}")), 400);
      expect(error).toMatchObject({ code: "invalid_encoding", details: [{ path: "content-encoding" }] });
    }
  });

  test("a body with an encoding that cannot be unpacked is a 415 that names those that can", async () => {
    for (const encoding of ["zstd", "gzip, gzip", "constructor"]) {
      const answer = await sendPacked(encoding, new TextEncoder().encode("{}"));
      expect(answer.headers.get("accept-encoding")).toBe("gzip, deflate, br");
      expect(await expectError(answer, 415)).toMatchObject({
        code: "unsupported_content_encoding",
        details: [{ path: "content-encoding" }],
      });
    }
  });

  test("the compressed body of a replay is unpacked too", async () => {
    const { id } = newEvent();
    await expectJson(call("POST", "/events", { body: { id, type: "lab.one" } }), 202);
    const body = await packed(JSON.stringify({ step: "none" }), "gzip");
    const path = `/events/${encodeURIComponent(id)}/replay`;
    const headers = { "content-encoding": "gzip" };
    expect(await expectJson(call("POST", path, { headers, body }), 202)).toMatchObject({ matched: 0 });
  });
});

describe("an event that is larger when it is written again", () => {
  test("an event that is larger than the bound when it is written again is refused with 413", async () => {
    const id = freshId("grown");
    const body = `{"id":"${id}","type":"lab.one","payload":[${Array(100_000).fill("1e20").join()}]}`;
    expect(body.length).toBeLessThan(EVENT_MAX_BYTES);
    const error = await expectError(call("POST", "/events", { body }), 413);
    expect(error.message).toContain("written again as it is stored");
    expect(await stored(await eventStub(id))).toEqual({ keys: [], tables: [] });
  });
});

describe("numbers", () => {
  async function refusedAt(payload: string): Promise<string[]> {
    const body = `{"id":"${freshId("number")}","type":"nobody.waits","payload":${payload}}`;
    const error = await expectError(call("POST", "/events", { body, token: TOKENS.event }), 422);
    expect(error.code).toBe("invalid");
    return error.details.map(({ path }) => path);
  }

  test("numbers that a double cannot hold are refused with their JSON pointers", async () => {
    expect(await refusedAt('{"a":9007199254740993,"b":[{"c/d":12345678901234567890}],"e":1e400}')).toEqual([
      "/payload/a",
      "/payload/b/0/c~1d",
      "/payload/e",
    ]);
  });

  test("numbers that a double holds, fractions and -0 are stored", async () => {
    const id = freshId("number");
    const numbers = "[9007199254740992,1e20,100000000000000000000,0.1,3.14159265358979323846,-0,1e-400]";
    const body = `{"id":"${id}","type":"nobody.waits","payload":${numbers}}`;
    await expectJson(call("POST", "/events", { body }), 202);
    expect((await eventOf(id)).event.payload).toEqual([9007199254740992, 1e20, 1e20, 0.1, Math.PI, 0, 0]);
  });

  test("a number that a double cannot hold is refused in a replay request as well", async () => {
    const body = '{"wait":12345678901234567890}';
    const error = await expectError(call("POST", "/events/x/replay", { body }), 422);
    expect(error.details[0]?.path).toBe("/wait");
  });
});
