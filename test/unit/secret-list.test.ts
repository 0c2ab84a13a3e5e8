/** Lists of secrets: what counts as one, and what is refused by its position alone. */
import { describe, expect, test } from "vitest";
import { readSecretList, SECRET_MIN_CHARS } from "../../contract/secret-list.ts";

const LONG = "a".repeat(SECRET_MIN_CHARS);

describe("a list of secrets", () => {
  test("is separated by commas, and white space around a value is none of it", () => {
    expect(readSecretList(`${LONG}1,\n ${LONG}2\r\n`)).toEqual({
      secrets: [`${LONG}1`, `${LONG}2`],
      unused: [],
    });
  });

  test.each([undefined, "", " ,\n, ", ","])("has no value in %j", (setting) => {
    expect(readSecretList(setting)).toEqual({ secrets: [], unused: [] });
  });

  test("does not split a passphrase at its spaces into several guessable secrets", () => {
    const { secrets, unused } = readSecretList("correct horse battery, staple");
    expect(secrets).toEqual([]);
    expect(unused).toEqual([
      { position: 1, reason: expect.stringContaining("white space") as string },
      { position: 2, reason: `it is shorter than ${SECRET_MIN_CHARS} characters` },
    ]);
  });

  test.each(["whsec_", `whsec_${"a".repeat(SECRET_MIN_CHARS - 1)}`])(
    "does not count the public prefix whsec_ as a part of the secret %s",
    (value) => {
      expect(readSecretList(value)).toMatchObject({ secrets: [], unused: [{ position: 1 }] });
      expect(readSecretList(`whsec_${LONG}`).secrets).toEqual([`whsec_${LONG}`]);
    },
  );

  test("names what it does not use by position, never by value", () => {
    const { unused } = readSecretList(`${LONG},hunter2,two words`);
    expect(unused.map(({ position }) => position)).toEqual([2, 3]);
    expect(JSON.stringify(unused)).not.toMatch(/hunter2|two words/);
  });
});
