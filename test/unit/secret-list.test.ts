/** Lists of secrets: what counts as one, and what is refused by its position alone. */
import { describe, expect, test } from "vitest";
import { readSecretList, SECRET_MIN_CHARS } from "../../contract/secret-list.ts";

const LONG = "a".repeat(SECRET_MIN_CHARS);

describe("a list of secrets", () => {
  test("a list of secrets is separated by commas, and white space around a value is none of it", () => {
    expect(readSecretList(`${LONG}1,\n ${LONG}2\r\n`)).toEqual({
      secrets: [`${LONG}1`, `${LONG}2`],
      unused: [],
    });
  });

  test.each([undefined, "", " ,\n, ", ","])("a setting of %j holds no secret", (setting) => {
    expect(readSecretList(setting)).toEqual({ secrets: [], unused: [] });
  });

  test("a passphrase is not split at its spaces into several guessable secrets", () => {
    const { secrets, unused } = readSecretList("correct horse battery, staple");
    expect(secrets).toEqual([]);
    expect(unused).toEqual([
      { position: 1, reason: expect.stringContaining("white space") as string },
      { position: 2, reason: `it is shorter than ${SECRET_MIN_CHARS} characters` },
    ]);
  });

  test.each(["whsec_", `whsec_${"a".repeat(SECRET_MIN_CHARS - 1)}`])(
    "the public prefix whsec_ is no part of the secret %s",
    (value) => {
      expect(readSecretList(value)).toMatchObject({ secrets: [], unused: [{ position: 1 }] });
      expect(readSecretList(`whsec_${LONG}`).secrets).toEqual([`whsec_${LONG}`]);
    },
  );

  test("a value that is not used is named by its position, never by itself", () => {
    const { unused } = readSecretList(`${LONG},hunter2,two words`);
    expect(unused.map(({ position }) => position)).toEqual([2, 3]);
    expect(JSON.stringify(unused)).not.toMatch(/hunter2|two words/);
  });
});
