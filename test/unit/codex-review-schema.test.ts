/** Which repositories the trigger of flows/codex-review takes. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const { properties } = JSON.parse(
  readFileSync("flows/codex-review/schemas/pull-request.schema.json", "utf8"),
) as { properties: { repository: { properties: { full_name: { pattern: string } } } } };
const name = new RegExp(properties.repository.properties.full_name.pattern, "u");

test.each(["octo/hello", "ada_acme/hello.world", "a-b_c/_x"])("a review starts for %s", (text) => {
  expect(text).toMatch(name);
});

test.each(["_octo/hello", "octo/..", "octo", "octo/a b", "../octo/hello"])(
  "a review does not start for %s, which is no repository",
  (text) => {
    expect(text).not.toMatch(name);
  },
);
