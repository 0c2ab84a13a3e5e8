/** Which steps an event starts, and which runs share a concurrency key. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { FlowEvent } from "../../contract/flow-event.ts";
import { resolveManifest } from "../../contract/flow-manifest.ts";
import {
  matchEvent,
  renderConcurrencyKey,
  renderTemplate,
  stepKey,
  type FlowCatalog,
} from "../../contract/matching.ts";

function event(payload: unknown, type = "release"): FlowEvent {
  return { id: "e:1", type, source: "github", receivedAt: "2026-03-01T12:00:00Z", payload };
}

function flow(name: string, triggers: Record<string, string | undefined>): FlowCatalog["flows"][number] {
  const steps = Object.entries(triggers).map(([step, type]) => ({
    name: step,
    runner: "bun" as const,
    script: "run.ts",
    ...(type === undefined ? {} : { trigger: { type } }),
  }));
  return resolveManifest({ name, version: 1, steps }, `sha256:${name}`);
}

const catalog: FlowCatalog = {
  flows: [
    flow("first", { build: "release", publish: "release", manual: undefined }),
    flow("second", { build: "release", other: "release.draft" }),
    flow("third", { shout: "RELEASE" }),
  ],
  checks: {
    [stepKey("first", "publish")]: (payload) =>
      payload !== null && typeof payload === "object" && "tag" in payload
        ? []
        : [{ path: "/payload/tag", message: "is required" }],
  },
};

const names = (found: Array<{ flow: { name: string }; step: { name: string } }>): string[] =>
  found.map((one) => stepKey(one.flow.name, one.step.name));

describe("an event", () => {
  test("starts every step of exactly its type whose schema takes its payload", () => {
    const { matches, misses } = matchEvent(event({ tag: "v1" }), catalog);
    expect(names(matches)).toEqual(["first/build", "first/publish", "second/build"]);
    expect(misses).toEqual([]);
  });

  test("is told where a step of its type does not take its payload", () => {
    const { matches, misses } = matchEvent(event({}), catalog);
    expect(names(matches)).toEqual(["first/build", "second/build"]);
    expect(names(misses)).toEqual(["first/publish"]);
    expect(misses[0]?.errors).toEqual([{ path: "/payload/tag", message: "is required" }]);
  });

  test.each(["", "releas", "release.", "Release", "release.draft.x", "toString", "__proto__"])(
    "of type %j starts nothing, and misses nothing",
    (type) => {
      expect(matchEvent(event({}, type), catalog)).toEqual({ matches: [], misses: [] });
    },
  );

  test("is narrowed to a flow, a step or both for a replay", () => {
    const found = (only: { flow?: string; step?: string }): string[] =>
      names(matchEvent(event({ tag: 1 }), catalog, only).matches);
    expect(found({ flow: "first" })).toEqual(["first/build", "first/publish"]);
    expect(found({ step: "build" })).toEqual(["first/build", "second/build"]);
    expect(found({ flow: "second", step: "build" })).toEqual(["second/build"]);
    expect(found({ flow: "none" })).toEqual([]);
    expect(matchEvent(event({}), catalog, { flow: "second" }).misses).toEqual([]);
  });
});

describe("a concurrency key", () => {
  const given = event({
    repo: "codex",
    nested: { n: 7, list: ["a", { b: true }] },
    empty: "",
    nothing: null,
  });

  test.each([
    ["fixed", "fixed"],
    ["{{payload.repo}}", "codex"],
    ["{{ payload.repo }}", "codex"],
    ["{{type}}/{{payload.repo}}@{{payload.nested.n}}", "release/codex@7"],
    ["{{payload.nested.list.1.b}}", "true"],
    ["{{payload.nested.list}}", '["a",{"b":true}]'],
    ["{{id}}{{source}}", "e:1github"],
    ["{{payload.repo", "{{payload.repo"],
    ["{payload.repo}", "{payload.repo}"],
    ["[{{payload.repo?}}{{payload.missing?}}]", "[codex]"],
    ["{{}}", "{{}}"],
    ["{{payload repo}}", "{{payload repo}}"],
    ["$&{{payload.repo}}$1", "$&codex$1"],
  ])("%j is filled from the event: %j", (template, key) => {
    expect(renderConcurrencyKey(template, given)).toBe(key);
  });

  test.each([
    "{{payload.missing}}",
    "{{payload.missing.deeper}}",
    "{{payload.repo.length}}",
    "{{payload.nothing}}",
    "{{payload.nothing.deeper}}",
    "{{payload.empty}}",
    "{{payload..repo}}",
    "{{.payload}}",
    "{{occurredAt}}",
  ])("%j leads nowhere: all such runs share one key rather than run unbounded", (template) => {
    expect(renderConcurrencyKey(`a${template}b`, given)).toBe("ab");
  });

  test.each([
    "__proto__",
    "constructor",
    "toString",
    "hasOwnProperty",
    "constructor.name",
    "__proto__.constructor",
  ])("never shows what an object inherits: %s", (path) => {
    for (const root of [path, `payload.${path}`, `payload.nested.list.${path}`, `payload.repo.${path}`])
      expect(renderConcurrencyKey(`{{${root}}}`, given)).toBe("");
  });

  test("shows a key of such a name that the event itself has", () => {
    const own = event(JSON.parse('{"__proto__":{"constructor":"mine"}}'));
    expect(renderConcurrencyKey("{{payload.__proto__.constructor}}", own)).toBe("mine");
  });

  test("is bounded, and never fails, whatever stands in template and payload", () => {
    const part = fc.oneof(
      fc.constantFrom("{{", "}}", "payload", ".", "$", "$&", " ", "__proto__", "a"),
      fc.string({ unit: "binary" }),
    );
    fc.assert(
      fc.property(fc.array(part), fc.jsonValue(), (parts, payload) => {
        const key = renderConcurrencyKey(parts.join(""), event(payload));
        expect(key.length).toBeLessThanOrEqual(512);
      }),
    );
  });
});

describe("a template that must be filled", () => {
  const given = event({ repo: "codex", number: 7, empty: "", nothing: null });

  test.each([
    ["main", "main"],
    ["{{payload.repo}}", "codex"],
    ["refs/pull/{{ payload.number }}/head", "refs/pull/7/head"],
    ["{{payload.repo?}}/{{payload.sha?}}{{payload.empty?}}{{payload.nothing?}}", "codex/"],
  ])("%j is %j", (template, text) => {
    expect(renderTemplate(template, given)).toEqual({ text });
  });

  test("a value that is not there is named, never an empty text", () => {
    expect(
      renderTemplate("{{payload.repo}}/{{payload.sha}}{{payload.empty}}{{payload.nothing}}", given),
    ).toEqual({ missing: ["payload.sha", "payload.empty", "payload.nothing"] });
  });
});
