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
  const { exact, base64, hex } = secretForms(value);
  return [...exact, ...base64, ...hex];
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

const KEY_LINES = [
  "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC",
  "BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj",
  "MzEfYyjiWA4R4/M2bS1GB4t7NXp98C3S",
];
const BORDERS = ["-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----"];
const KEY = `${[BORDERS[0], ...KEY_LINES, BORDERS[1]].join("\n")}\n`;

/** Fails when eight characters in a row of any line of the key are left. */
function expectNoLineOf(out: string): void {
  for (const line of KEY_LINES)
    for (let at = 0; at + 8 <= line.length; at += 1) expect(out).not.toContain(line.slice(at, at + 8));
}

describe("a secret of several lines", () => {
  test.each<[string, (key: string) => string]>([
    ["as it is", (key) => key],
    ["indented", (key) => key.replace(/^/gm, "    ")],
    ["with a prefix on each line", (key) => key.replace(/^/gm, "2026-12-01T00:00:00Z app | ")],
    ["with the line ends of a terminal", (key) => key.replaceAll("\n", "\r\n")],
    ["joined to one line", (key) => key.replaceAll("\n", "")],
    ["joined by spaces", (key) => key.replaceAll("\n", " ")],
    ["one line alone", () => KEY_LINES[1] ?? ""],
    ["as a shell's quoted string", (key) => key.trim().split("\n").join("\\n")],
    ["in JSON with other line ends", (key) => JSON.stringify(key.replaceAll("\n", "\r\n"))],
    ["one line of it in base64", () => Buffer.from(KEY_LINES[2] ?? "").toString("base64")],
    ["one line of it in hexadecimal", () => Buffer.from(KEY_LINES[2] ?? "").toString("hex")],
    [
      "numbered by cat",
      (key) =>
        key
          .split("\n")
          .map((line, n) => `     ${n}\t${line}`)
          .join("\n"),
    ],
  ])("is hidden when it is printed %s, also where a chunk ends in it", (_how, print) => {
    const printed = print(KEY);
    const redactor = redactorOf(KEY);
    const out = redactor.text(`before ${printed} behind`);
    expect(out).toContain(REDACTED);
    expect(out).toMatch(/^before .* behind$/s);
    expectNoLineOf(out);
    expectNoLineOf(Buffer.from(out, "hex").toString() + Buffer.from(out, "base64").toString());
    for (const cut of [9, 20, 33, 50, 77])
      expect(streamed(redactor, cutAt(`before ${printed} behind`, [cut, 2 * cut, 3 * cut]))).toBe(out);
    expect(redactor.result({ status: "completed", message: printed })?.message).not.toContain(KEY_LINES[1]);
  });

  test("leaves short lines and the borders of a PEM file in other texts as they are", () => {
    expect(redactorOf(KEY).text(`${BORDERS.join("\n")} of another key`)).toBe(
      `${BORDERS.join("\n")} of another key`,
    );
    expect(redactorOf("first line\nshort\nlast line").text("short first line")).toBe(`short ${REDACTED}`);
  });
});

describe("other encodings of a secret", () => {
  const VALUE = `pA5s w0rd/+&<"'é\\~>end`;
  const hexOf = (value: string) => Buffer.from(value).toString("hex");
  const pairs = (value: string) => hexOf(value).match(/../g) ?? [];
  const unicode = (text: string, characters: RegExp, upper = false) =>
    text.replace(characters, (char) => {
      const code = char.charCodeAt(0).toString(16).padStart(4, "0");
      return `\\u${upper ? code.toUpperCase() : code}`;
    });
  const json = (value: string) => JSON.stringify(value).slice(1, -1);

  test.each<[string, (value: string) => string]>([
    ["lower-case hexadecimal", hexOf],
    ["upper-case hexadecimal", (value) => hexOf(value).toUpperCase()],
    ["hexadecimal with colons", (value) => pairs(value).join(":")],
    ["upper-case hexadecimal with colons", (value) => pairs(value).join(":").toUpperCase()],
    ["hexadecimal with spaces", (value) => pairs(value).join(" ")],
    [
      "\\x escapes",
      (value) =>
        pairs(value)
          .map((pair) => `\\x${pair}`)
          .join(""),
    ],
    ["hexadecimal in lines", (value) => inLines(hexOf(value), 20)],
    ["JSON of Go", (value) => unicode(json(value), /[<>&]/g)],
    ["JSON of Go in a JSON string", (value) => json(unicode(json(value), /[<>&]/g))],
    [
      "JSON of PHP with all its options",
      (value) =>
        unicode(
          unicode(json(value), /é/g).replaceAll("/", "\\/").replaceAll('\\"', "\\u0022"),
          /[<>&']/g,
          true,
        ),
    ],
    ["JSON in JSON", (value) => json(json(value))],
    ["HTML of Go", (value) => markup(value, "&#34;", "&#39;")],
    ["HTML of Python", (value) => markup(value, "&quot;", "&#x27;")],
    ["XML", (value) => markup(value, "&quot;", "&apos;")],
    ["the text of an element", (value) => markup(value, '"', "'")],
    ["base64 for URLs", (value) => Buffer.from(value).toString("base64url")],
    ["a color behind each character", (value) => Array.from(value, (char) => `${char}\x1b[31;1m`).join("")],
    ["a color in the middle", (value) => `${value.slice(0, 7)}\x1b[0m${value.slice(7)}`],
    [
      "a link in the middle",
      (value) => `${value.slice(0, 7)}\x1b]8;;https://x.example\x1b\\${value.slice(7)}`,
    ],
    ["a title in the middle", (value) => `${value.slice(0, 7)}\x1b]0;title\x07\x1b(B${value.slice(7)}`],
    ["a broken sequence in front", (value) => `\x1b[${value}`],
    [
      "a color in the middle of base64",
      (value) => Buffer.from(value).toString("base64").replace(/^.{9}/, "$&\x1b[1m"),
    ],
  ])("%s is hidden, wherever the chunks end", (_name, encode) => {
    const redactor = redactorOf(VALUE);
    const text = `before ${encode(VALUE)}. behind`;
    const out = redactor.text(text);
    expect(out.replace(/\x1b\[(?:31;1m)?/g, "")).toMatch(/^before (?:\\x)?\*\*\*=*\. behind$/);
    for (let cut = 0; cut <= text.length; cut += 1)
      expect(streamed(redactor, [text.slice(0, cut), text.slice(cut)])).toBe(out);
    expect(streamed(redactor, Array.from(text))).toBe(out);
    const result = redactor.result({ status: "completed", message: text });
    expect(result?.message).toBe(out);
  });

  function markup(value: string, double: string, single: string): string {
    const text = value.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
    return text.replaceAll('"', double).replaceAll("'", single);
  }

  const colored = fc
    .array(
      fc.record({
        text: fc.constantFrom("a", "b", "aab", "abaaba", "b/a", "61", ":", "6", "YWJh", "\n"),
        code: fc.constantFrom("", "", "\x1b[1m", "\x1b[", "\x1b]0;b\x07", "\x1b]ab", "\x1b", "\x1b(B"),
      }),
      { maxLength: 25 },
    )
    .map((parts) => parts.map(({ text, code }) => text + code).join(""));

  test("text with control sequences is redacted the same wherever it is cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: fc.constantFrom("a", "b"), minLength: 6, maxLength: 8 }), {
          minLength: 1,
          maxLength: 3,
        }),
        colored,
        fc.array(fc.nat({ max: 200 }), { maxLength: 12 }),
        (secrets, text, cuts) => {
          const redactor = redactorOf(...secrets);
          expect(streamed(redactor, cutAt(text, cuts))).toBe(redactor.text(text));
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("whole control sequences never hide a secret that a terminal would show", () => {
    const sequence = fc.constantFrom("\x1b[1m", "\x1b[0;31m", "\x1b[K", "\x1b]0;t\x07", "\x1b(B", "");
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("a", "b"), minLength: 6, maxLength: 8 }),
        fc.array(fc.tuple(fc.constantFrom("a", "b", "ab", "c"), sequence), { maxLength: 40 }),
        (value, parts) => {
          const out = redactorOf(value).text(parts.flat().join(""));
          expect(out.replace(/\x1b(?:\[[\d;]*[A-Za-z]|\]0;t\x07|\(B)/g, "")).not.toContain(value);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("no more than a bounded number of control characters is held back behind the beginning of a secret", () => {
    const stream = redactorOf("hunter22").stream();
    expect(stream.write("hunt") + stream.write("\x1b[1m".repeat(100))).toMatch(/^hunt/);
    const separated = redactorOf("hunter22").stream();
    expect(separated.write("68 75 ") + separated.write(" ".repeat(100))).toMatch(/^68 75 /);
  });

  test("the forms of a long key have at most 60 characters for each of its characters", () => {
    const line = (n: number) => Buffer.from(`${n}`.repeat(48)).toString("base64").slice(0, 64);
    const lines = Array.from({ length: 64 }, (_, n) => line(1000 + n * 37));
    const forms = secretForms(lines.join("\n"));
    const characters = Object.values(forms).flat().join("").length;
    expect(characters).toBeLessThan(64 * 64 * 60);
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
