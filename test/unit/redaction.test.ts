/** Invariant 15: what is redacted does not depend on how a stream is cut, and no form of a secret is left. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Redactor, REDACTED } from "../../runner-agent/steps/redaction.ts";
import { SECRET_MIN_CHARS, secretForms } from "../../runner-agent/steps/secret-forms.ts";

function redactorOf(...values: string[]): Redactor {
  return new Redactor(values.map((value, n) => ({ name: `SECRET_${n}`, value })));
}

function streamed(redactor: Redactor, pieces: string[]): string {
  const stream = redactor.stream();
  return pieces.map((piece) => stream.write(piece)).join("") + stream.end();
}

function allForms(value: string): string[] {
  const { exact, overLines } = secretForms(value);
  return [...exact, ...overLines];
}

/** Few letters, so that secrets overlap each other and themselves; no "*", which a mark could complete. */
const letters = fc.constantFrom("a", "b", "/", '"', "ä", "😀");
const secret = fc.string({ unit: letters, minLength: SECRET_MIN_CHARS, maxLength: 12 });
const filler = fc.string({ unit: letters, maxLength: 10 });

/** Text in which secrets stand in all their forms, and where it is cut. */
const scene = fc.array(secret, { minLength: 1, maxLength: 4 }).chain((secrets) =>
  fc.record({
    secrets: fc.constant(secrets),
    text: fc
      .array(
        fc.oneof(
          filler,
          fc.constantFrom(...secrets.flatMap(allForms), ...secrets.map((one) => one.slice(0, -1))),
        ),
        { maxLength: 12 },
      )
      .map((parts) => parts.join("")),
    cuts: fc.array(fc.nat({ max: 200 }), { maxLength: 20 }),
  }),
);

function cutAt(text: string, cuts: number[]): string[] {
  const at = [0, ...cuts.map((cut) => cut % (text.length + 1)).sort((a, b) => a - b), text.length];
  return at.slice(1).map((end, n) => text.slice(at[n], end));
}

describe("a stream", () => {
  test("cut anywhere says what the whole text would", () => {
    fc.assert(
      fc.property(scene, ({ secrets, text, cuts }) => {
        const redactor = redactorOf(...secrets);
        expect(streamed(redactor, cutAt(text, cuts))).toBe(redactor.text(text));
      }),
      { numRuns: 300 },
    );
  });

  test("never says a secret in any form", () => {
    fc.assert(
      fc.property(scene, ({ secrets, text }) => {
        const out = redactorOf(...secrets).text(text);
        expect(secrets.flatMap(allForms).filter((form) => out.includes(form))).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  test("keeps all else: what no form covers is there, in order, and each run of forms is one mark", () => {
    fc.assert(
      fc.property(scene, ({ secrets, text }) => {
        const forms = secrets.flatMap(allForms);
        const covered = new Array<number>(text.length).fill(0);
        const begins = new Set<number>();
        for (const form of forms)
          for (let at = text.indexOf(form); at >= 0; at = text.indexOf(form, at + 1)) {
            covered.fill(1, at, at + form.length);
            begins.add(at);
          }
        const rest = [...covered.keys()].filter((at) => covered[at] === 0).map((at) => text.charAt(at));
        expect(
          redactorOf(...secrets)
            .text(text)
            .replaceAll(REDACTED, ""),
        ).toBe(rest.join(""));
        expect(
          redactorOf(...secrets)
            .text(text)
            .includes(REDACTED),
        ).toBe(begins.size > 0);
      }),
      { numRuns: 300 },
    );
  });

  test("holds back no more than what may begin a secret, and that until the end", () => {
    const stream = redactorOf("hunter22").stream();
    expect(stream.write("password: hunt")).toBe("password: ");
    expect(stream.write("ing ")).toBe("hunting ");
    expect(stream.write("hunter2")).toBe("");
    expect(stream.end()).toBe("hunter2");
  });

  test("goes on in the middle of a run that has no end", () => {
    const stream = redactorOf("aaaaaa").stream();
    const out = Array.from({ length: 100 }, () => stream.write("a".repeat(1000)));
    expect(out.join("")).toBe(REDACTED);
    expect(stream.write("b") + stream.end()).toBe("b");
  });
});

function inLines(text: string, width: number, end = "\n"): string {
  return text.replace(new RegExp(`.{${width}}`, "g"), `$&${end}`);
}

describe("the forms of a secret", () => {
  const bytes = fc
    .string({ unit: "grapheme", minLength: SECRET_MIN_CHARS, maxLength: 30 })
    .filter((text) => text.trim().length >= SECRET_MIN_CHARS);

  test("base64 of anything that contains it shows no character that is the secret's alone", () => {
    fc.assert(
      fc.property(
        bytes,
        fc.string({ maxLength: 5 }),
        fc.string({ maxLength: 5 }),
        (value, before, behind) => {
          const kept = value.trim();
          const encoded = Buffer.from(`${before}${kept}${behind}`).toString("base64");
          const out = redactorOf(value).text(encoded);
          expect(out).toContain(REDACTED);
          const first = Math.ceil((Buffer.byteLength(before) * 8) / 6);
          const own = Math.floor((Buffer.byteLength(before + kept) * 8) / 6) - first;
          expect(out.length).toBeLessThanOrEqual(encoded.length - own + REDACTED.length);
        },
      ),
    );
  });

  test.each([
    ["raw", (value: string) => value],
    ["JSON", (value: string) => JSON.stringify({ value })],
    ["JSON in ASCII", (value: string) => JSON.stringify(value).replaceAll("ö", "\\u00f6")],
    ["a URL", (value: string) => `https://x.example/?token=${encodeURIComponent(value)}`],
    ["a form", (value: string) => new URLSearchParams({ token: value }).toString()],
    ["base64", (value: string) => Buffer.from(value).toString("base64")],
    ["base64url", (value: string) => Buffer.from(value).toString("base64url")],
    ...[60, 64, 76].map((width): [string, (value: string) => string] => [
      `base64 in lines of ${width}`,
      (value) => inLines(Buffer.from(value).toString("base64"), width),
    ]),
  ])("%s", (_name, encode) => {
    const value = `pö "quo/ted"\n+&?=${"long".repeat(30)}`;
    const out = redactorOf(value).text(`before ${encode(value)} behind`);
    expect(out).not.toContain("long");
    expect(out).not.toContain(Buffer.from("longlong").toString("base64").slice(0, 8));
    expect(out).toMatch(/^before .*\*\*\*.* behind$/s);
  });

  test("base64 of an environment, in lines that end anywhere in the value, cut anywhere", () => {
    const token = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";
    for (let before = 0; before < 80; before += 1) {
      const dump = `${"A".repeat(before)}=${token}\nB=`;
      const encoded = inLines(Buffer.from(dump).toString("base64"), 76, before % 2 === 0 ? "\n" : "\r\n");
      const out = redactorOf(token).text(encoded);
      const own = Math.floor(((before + 1) * 8 + token.length * 8) / 6) - Math.ceil(((before + 1) * 8) / 6);
      expect(out.replace(/\s/g, "").length).toBeLessThanOrEqual(
        // Five characters at the end of a line may be shown.
        encoded.replace(/\s/g, "").length - own + REDACTED.length + 5,
      );
      for (const cut of [1, 7, 60, 77, 79])
        expect(streamed(redactorOf(token), cutAt(encoded, [cut, 2 * cut]))).toBe(out);
    }
  });

  test("a line that ends like the beginning of a form is shown at once; so are empty lines behind more of one", () => {
    const token = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";
    const encoded = Buffer.from(token).toString("base64");
    const short = redactorOf(token).stream();
    expect(short.write(`waits for ${encoded.slice(0, 5)}\n`)).toBe(`waits for ${encoded.slice(0, 5)}\n`);
    expect(short.write(`${encoded.slice(5)}.`)).toBe(`${REDACTED}.`);
    for (const end of ["\n", "\r\n"]) {
      const long = redactorOf(token).stream();
      expect(long.write(`${encoded.slice(0, 20)}${end}`)).toBe("");
      expect(long.write(end)).toBe(`${encoded.slice(0, 20)}${end}${end}`);
    }
  });

  test.each([
    ["Python's quote, and curl", "pa%2Fss%21word%2A%281%29%20~x"],
    ["Python's quote of a path", "pa/ss%21word%2A%281%29%20~x"],
    ["Python's quote_plus", "pa%2Fss%21word%2A%281%29+~x"],
    ["PHP's urlencode", "pa%2Fss%21word%2A%281%29+%7Ex"],
    ["a browser's form", "pa%2Fss%21word*%281%29+%7Ex"],
    ["encodeURIComponent", "pa%2Fss!word*(1)%20~x"],
    ["that in small letters", "pa%2fss%21word%2a%281%29%20~x"],
  ])("URL-encoded by %s", (_who, encoded) => {
    expect(redactorOf("pa/ss!word*(1) ~x").text(`<${encoded}>`)).toBe(`<${REDACTED}>`);
  });

  test("a value that is too short to be one is left alone, and a trailing newline is no part of it", () => {
    expect(allForms("a".repeat(SECRET_MIN_CHARS - 1))).toEqual([]);
    expect(redactorOf("12345").text("12345")).toBe("12345");
    expect(redactorOf("hunter22\n").text("hunter22")).toBe(REDACTED);
  });
});

describe("a result", () => {
  test("keeps its status and its shape", () => {
    const result = {
      status: "completed",
      next: [{ id: "x-completed", ok: true, n: null }],
      other: 1.5,
    } as const;
    expect(redactorOf("completed").result({ ...result, next: [...result.next] })).toEqual({
      status: "completed",
      next: [{ id: `x-${REDACTED}`, ok: true, n: null }],
      other: 1.5,
    });
  });
});
