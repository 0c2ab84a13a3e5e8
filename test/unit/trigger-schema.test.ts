/** Trigger schemas: what compiles, what payloads they take, and what a check may cost. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { loadCatalog, type Catalog } from "../../catalog/load.ts";
import { patternCost } from "../../catalog/pattern-cost.ts";
import { duplicateItems, equalJson } from "../../catalog/payload-checks.ts";
import { compileTrigger } from "../../catalog/trigger-schema.ts";
import type { FlowEvent } from "../../contract/flow-event.ts";
import { EVENT_MAX_DEPTH } from "../../contract/limits.ts";
import { matchEvent, stepKey } from "../../contract/matching.ts";
import { faultsOf, type CompiledCheck } from "../../contract/validate.ts";
import { packageFiles, workspaceWith } from "../support/flow-workspace.ts";

const DRAFT_07 = "http://json-schema.org/draft-07/schema#";

async function load(
  schema: unknown,
  files: Record<string, unknown> = {},
): Promise<Catalog & { said: string[] }> {
  const others = Object.entries(files).map(([path, content]) => [
    `flows/a/${path}`,
    typeof content === "string" ? content : JSON.stringify(content, null, 2),
  ]);
  const workspace = await workspaceWith({
    ...packageFiles("flows/a", "a", { schema }),
    ...(Object.fromEntries(others) as Record<string, string>),
  });
  const catalog = await loadCatalog(workspace);
  return { ...catalog, said: catalog.faults.map(({ path, message }) => `${path} ${message}`) };
}

async function checkOf(schema: unknown, files: Record<string, unknown> = {}): Promise<CompiledCheck> {
  const { packages, said } = await load(schema, files);
  expect(said).toEqual([]);
  const compilable = packages[0]?.schemas["run"]?.compilable;
  if (compilable === undefined) throw new Error("the schema was not read");
  return compileTrigger(compilable, { allErrors: false });
}

describe("a valid schema compiles", () => {
  test.each([
    ["a reference to $anchor", { $ref: "#item", $defs: { item: { $anchor: "item", type: "object" } } }],
    [
      "$dynamicAnchor",
      { $dynamicAnchor: "node", type: "object", properties: { next: { $dynamicRef: "#node" } } },
    ],
    [
      "annotations of generators and editors",
      { type: "object", "x-order": 1, markdownDescription: "**a**", tsAdditionalProperties: false },
    ],
    ["a draft-07 schema with a relative $id", { $schema: DRAFT_07, $id: "fork$event", type: "object" }],
    [
      "a discriminator",
      {
        oneOf: [{ $ref: "#/$defs/cat" }],
        discriminator: { propertyName: "kind" },
        $defs: { cat: { type: "object", properties: { kind: { const: "cat" } } } },
      },
    ],
    [
      "a pattern that only the mode without u takes",
      { type: "object", properties: { a: { pattern: "^[\\w\\-]+\\_$" } } },
    ],
  ])("with %s", async (_what, schema) => {
    const check = await checkOf(schema);
    expect(check({})).toBe(true);
    expect(check("no object")).toBe(false);
  });

  test("with a format that only a generator knows: it is an annotation", async () => {
    const check = await checkOf({
      properties: { n: { type: "integer", format: "uint32" }, t: { format: "email" } },
    });
    expect(check({ n: 2 ** 40 })).toBe(true);
    expect(check({ t: "no address" })).toBe(false);
  });

  test.each(["constructor", "toString", "hasOwnProperty", "valueOf"])(
    "and a property named %s is one of the payload's own, not of its prototype",
    async (name) => {
      const named = JSON.parse(`{"${name}":{"type":"string"}}`) as object;
      const optional = await checkOf({ type: "object", properties: named });
      expect(optional({})).toBe(true);
      expect(optional(JSON.parse(`{"${name}":1}`))).toBe(false);
      const required = await checkOf({ required: [name] });
      expect(required({})).toBe(false);
      expect(required(JSON.parse(`{"${name}":1}`))).toBe(true);
    },
  );
});

describe("a schema of several files", () => {
  const USER = { $id: "common/user.json", type: "object", required: ["login"] };

  test.each([
    ["by the path from its own folder", "schemas/common/user.json", "common/user.json", undefined],
    ["by a path upwards", "common/u.json", "../common/u.json", undefined],
    ["by its $id, wherever the file is", "elsewhere/u.json", "common/user.json", "fork$event"],
    [
      "by the address that its own $id implies",
      "schemas/common/u.json",
      "https://schemas.test/common/u.json",
      "https://schemas.test/main.json",
    ],
  ])("refers to the other one %s", async (_how, path, $ref, $id) => {
    const main = { $schema: DRAFT_07, ...($id === undefined ? {} : { $id }), properties: { user: { $ref } } };
    const check = await checkOf(true, {
      "flow.toml": packageFiles("f", "a", { schema: true })["f/flow.toml"]?.replace(
        "schema.json",
        "schemas/main.json",
      ),
      "schemas/main.json": main,
      [path]: USER,
    });
    expect(check({ user: { login: "ada" } })).toBe(true);
    expect(check({ user: {} })).toBe(false);
  });

  test("may refer to each other", async () => {
    const check = await checkOf(
      { properties: { child: { $ref: "b.json#/$defs/child" } } },
      { "b.json": { $defs: { child: { allOf: [{ $ref: "schema.json" }, { required: ["name"] }] } } } },
    );
    expect(check({ child: { name: "x", child: { name: "y" } } })).toBe(true);
    expect(check({ child: { name: "x", child: {} } })).toBe(false);
  });

  test.each(["https://example.test/other.json", "../../outside.json", "none.json#/a"])(
    "is refused with pointer and line when %s is not in the package",
    async ($ref) => {
      const { faults } = await load(true, {
        "schema.json": `{\n  "properties": {\n    "a": { "$ref": ${JSON.stringify($ref)} }\n  }\n}`,
      });
      expect(faults).toMatchObject([{ line: 3, column: 12, path: "/properties/a/$ref" }]);
      expect(faults[0]?.message).toContain(`refers to ${$ref}, which is not a file of the package`);
    },
  );
});

describe("a schema that is refused names its pointer and line", () => {
  test.each([
    [
      "an unknown type",
      '{\n"properties": {\n"a": { "type": "strnig" } } }',
      "/properties/a/type",
      "must be equal",
    ],
    [
      "a pattern that is none",
      '{\n"properties": {\n"a": { "pattern": "(" } } }',
      "/properties/a/pattern",
      "is no",
    ],
    [
      "a reference to a place that is not there",
      '{\n"properties": {\n"a": { "$ref": "#/$defs/x" } } }',
      "/properties/a/$ref",
      "leads to",
    ],
    [
      "an exponential pattern",
      '{\n"properties": {\n"a": { "pattern": "^(a+)+$" } } }',
      "/properties/a/pattern",
      "takes exponential time",
    ],
    [
      "an exponential name",
      '{\n"$defs": {\n"a": { "patternProperties": { "^(a|a)*$": true } } } }',
      "/$defs/a/patternProperties/^(a|a)*$",
      "takes exponential time",
    ],
  ])("%s", async (_what, text, path, message) => {
    const { faults } = await load(true, { "schema.json": text });
    expect(faults).toMatchObject([{ line: 3, path, message: expect.stringContaining(message) as string }]);
  });
});

describe("a payload whose keys are names of methods", () => {
  const SCHEMA = {
    properties: {
      items: { type: "array", uniqueItems: true },
      kind: { enum: [{ a: 1 }, { valueOf: 0 }, "x"] as unknown[] },
      exact: { const: { toString: "" } },
    },
  };

  test.each<[unknown, boolean]>([
    [{ items: [{}, { toString: "" }, { valueOf: null }, { constructor: 1 }] }, true],
    [{ items: [{ toString: "" }, { a: 1 }, { toString: "" }] }, false],
    [{ kind: { valueOf: 0 } }, true],
    [{ kind: { valueOf: 1 } }, false],
    [{ exact: { toString: "" } }, true],
    [{ exact: { toString: 1, a: 2 } }, false],
  ])("%j is checked: %s", async (payload, valid) => {
    expect((await checkOf(SCHEMA))(payload)).toBe(valid);
  });
});

test("an array has duplicates exactly if two of its items are equal JSON", () => {
  fc.assert(
    fc.property(fc.array(fc.jsonValue({ maxDepth: 2 }), { maxLength: 8 }), (items) => {
      const values = JSON.parse(JSON.stringify(items)) as unknown[];
      const twice = values.some((one, i) => values.some((other, j) => j < i && equalJson(one, other)));
      expect(duplicateItems(values, values) !== undefined).toBe(twice);
    }),
  );
});

describe("the cost of a check is bounded", () => {
  const match = (check: CompiledCheck, payload: unknown): ReturnType<typeof matchEvent> => {
    const trigger = { type: "t" };
    const step = { name: "run", trigger };
    const flow = { name: "a", steps: [step, { name: "other", trigger }] };
    const event: FlowEvent = { id: "e", type: "t", receivedAt: "2026-01-01T00:00:00Z", payload };
    return matchEvent(event, {
      flows: [flow as never],
      checks: { [stepKey("a", "run")]: (value) => faultsOf(check, value, "/payload") },
    });
  };

  test("uniqueItems reads tens of thousands of distinct objects once", async () => {
    const check = await checkOf({ type: "array", uniqueItems: true });
    const items = Array.from({ length: 40_000 }, (_, n) => ({ n }));
    expect(check(items)).toBe(true);
    expect(check([...items, { n: 7 }])).toBe(false);
  });

  test("uniqueItems at every level of a nested payload reads it once", async () => {
    const check = await checkOf({ uniqueItems: true, items: { $ref: "#" } });
    let nested: unknown = Array.from({ length: 100_000 }, (_, n) => n);
    for (let depth = 0; depth < EVENT_MAX_DEPTH - 2; depth++) nested = [nested];
    expect(check(nested)).toBe(true);
  });

  test.each([
    [
      "a schema that branches at every level",
      { properties: { a: { anyOf: [{ $ref: "#" }, { $ref: "#" }] } }, not: { required: ["end"] } },
      (): unknown => {
        let payload: unknown = { end: 1 };
        for (let depth = 0; depth < 200; depth++) payload = { a: payload };
        return payload;
      },
    ],
    ["a quadratic pattern on a long text", { pattern: "\\s+$" }, (): unknown => `${" ".repeat(500_000)}x`],
    [
      "a text of the format url that its pattern reads again and again",
      { format: "url" },
      (): unknown => `http://${"::".repeat(10_000)}`,
    ],
    [
      "a pattern with lookahead on a long text",
      { pattern: "^(?=.*a)(?=.*b).*c$" },
      (): unknown => "x".repeat(100_000),
    ],
  ])("%s is a miss of that step alone, with the reason", async (_what, schema, payload) => {
    const { matches, misses } = match(await checkOf(schema), payload());
    expect(matches.map(({ step }) => step.name)).toEqual(["other"]);
    expect(misses[0]?.errors).toEqual([
      {
        path: "/payload",
        message: expect.stringMatching(/cannot be checked against the schema: .* steps$/) as string,
      },
    ]);
  });

  test("a check that throws is a miss of that step alone", () => {
    const { matches, misses } = match(() => {
      throw new TypeError("boom");
    }, {});
    expect(matches).toHaveLength(1);
    expect(misses[0]?.errors[0]?.message).toBe("cannot be checked against the schema: boom");
  });

  test("a text in a schema that looks like generated code stays as it is", async () => {
    const text = 'for(let i0=0; i0<len0; i0++){ function validate10(data, {x=""}={}){';
    expect((await checkOf({ const: text }))(text)).toBe(true);
  });

  test.each([
    ["^[a-z0-9-]+$", 1],
    ["^(\\d{1,3}\\.){3}\\d{1,3}$", 1],
    ["^(?:[A-Za-z0-9+/]{4})*$", 1],
    ["\\s+$", 2],
    ["^(\\w+\\s?)*$", "exponential"],
    ["^([a-z]{1,20}){1,30}$", "exponential"],
  ])("the worst case of %s is %s", (source, cost) => {
    expect(patternCost(source)).toBe(cost);
  });
});
