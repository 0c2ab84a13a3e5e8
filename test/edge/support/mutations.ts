/** Something right, made wrong: changes to JSON values and to their texts, for property tests. Pure. */
import fc from "fast-check";

/** Values that break readers: each has once broken one somewhere. */
const ODD: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  0.5,
  1e308,
  -1e308,
  2 ** 53,
  "",
  " ",
  "\u0000",
  "\ud800",
  "constructor",
  "__proto__",
  "9999-12-31T23:59:60Z",
  "x".repeat(600),
  "\u{1f600}".repeat(300),
  [],
  {},
  [[]],
  [null],
  { length: -1 },
];
const odd = fc.oneof(fc.constantFrom(...ODD), fc.jsonValue());
const oddKey = fc.oneof(
  fc.constantFrom("", "__proto__", "constructor", "toString", "id", "type", "then", "0", "a/b~c"),
  fc.string({ maxLength: 8 }),
);

interface Change {
  /** Which of the places of a value is changed, as a part of all of them: 0 to 1. */
  place: number;
  how: "replace" | "delete" | "insert" | "wrap";
  key: string;
  value: unknown;
}

const change: fc.Arbitrary<Change> = fc.record({
  place: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  how: fc.constantFrom("replace", "delete", "insert", "wrap"),
  key: oddKey,
  value: odd,
});

/** One of these values after one to three changes, any of its inner values being as likely as the next. */
export function mutated(valid: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  return fc
    .tuple(valid, fc.array(change, { minLength: 1, maxLength: 3 }))
    .map(([value, changes]) => changes.reduce(changed, value));
}

function changed(value: unknown, { place, how, key, value: other }: Change): unknown {
  const places = pathsOf(value);
  const path = places[Math.floor(place * places.length)] ?? [];
  return at(value, path, (inner) => {
    if (how === "replace") return other;
    if (how === "delete") return undefined;
    if (how === "wrap") return [inner];
    if (Array.isArray(inner)) return [...(inner as unknown[]), other];
    return inner !== null && typeof inner === "object" ? { ...inner, [key]: other } : { [key]: inner };
  });
}

function pathsOf(value: unknown, path: string[] = []): string[][] {
  if (value === null || typeof value !== "object") return [path];
  return [path, ...Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...path, key]))];
}

/** Undefined leaves a key out, as JSON does. */
function at(value: unknown, [key, ...rest]: string[], change: (inner: unknown) => unknown): unknown {
  if (key === undefined) return change(value) ?? null;
  if (Array.isArray(value))
    return value.map((inner: unknown, index) =>
      String(index) === key ? inside(inner, rest, change) : inner,
    );
  return Object.fromEntries(
    Object.entries(value as object).flatMap(([name, inner]) => {
      const next: unknown = name === key ? inside(inner, rest, change) : inner;
      return next === undefined ? [] : [[name, next]];
    }),
  );
}

function inside(inner: unknown, rest: string[], change: (inner: unknown) => unknown): unknown {
  return rest.length === 0 ? change(inner) : at(inner, rest, change);
}

/** The text of a value, sometimes cut, sometimes with something put into it or something taken out. */
export function textOf(value: fc.Arbitrary<unknown>): fc.Arbitrary<string> {
  const place = fc.double({ min: 0, max: 1, noNaN: true });
  const scrap = fc.constantFrom(
    "",
    "\u0000",
    "\\ud800",
    "1e400",
    '"',
    "}",
    "]",
    ",",
    "\ufeff",
    "//",
    "\n",
    "[[[[",
  );
  return fc.oneof(
    { weight: 3, arbitrary: value.map((one) => JSON.stringify(one)) },
    {
      weight: 1,
      arbitrary: fc.tuple(value, place, scrap, fc.nat(3)).map(([one, where, put, taken]) => {
        const text = JSON.stringify(one);
        const cut = Math.floor(where * text.length);
        return text.slice(0, cut) + put + text.slice(cut + taken);
      }),
    },
    {
      weight: 1,
      arbitrary: fc.tuple(value, place).map(([one, where]) => {
        const text = JSON.stringify(one);
        return text.slice(0, Math.floor(where * text.length));
      }),
    },
  );
}
