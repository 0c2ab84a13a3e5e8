/** The texts under which the value of a secret may appear in output (invariant 15). Pure. */

/**
 * Shorter values are not treated as secrets: they occur everywhere by chance ("true", "8080"), and a text full of
 * holes helps nobody.
 */
export const SECRET_MIN_CHARS = 6;
const BITS_PER_BYTE = 8;
const BITS_PER_CHAR = 6;

/** The first and the last line of a PEM file are the same in every file, so they are not secrets. */
const PEM_BORDER = /^-----(?:BEGIN|END) [A-Z0-9 ]+-----$/;

/** Forms of one value, each once. All lists are empty for a value that is too short to be a secret. */
export interface SecretForms {
  /** Forms that appear exactly as they are here. */
  exact: string[];
  /** Base64 with `+` and `/`. Lines may end anywhere inside: after 76 characters, or 64, or 60, or elsewhere. */
  base64: string[];
  /** Lower-case hexadecimal digits. Separators and line ends may stand between them. */
  hex: string[];
}

/**
 * The forms of the value and of each of its lines. Programs print a key of several lines indented, with a prefix per
 * line, with other line ends or one line alone, and each line of a key gives a part of it away.
 */
export function secretForms(value: string): SecretForms {
  const exact = new Set<string>();
  const base64 = new Set<string>();
  const hex = new Set<string>();
  for (const secret of secretTexts(value)) {
    for (const form of [secret, ...jsonForms(secret), ...urlForms(secret), ...markupForms(secret)])
      exact.add(form);
    for (const form of base64Forms(secret)) base64.add(form);
    hex.add(Buffer.from(secret).toString("hex"));
  }
  return { exact: [...exact], base64: [...base64], hex: [...hex] };
}

/** The value without the white space around it, since programs drop the newline of a file, and its lines. */
function secretTexts(value: string): string[] {
  const whole = value.trim();
  const lines = whole.split(/[\r\n]+/).map((line) => line.trim());
  return [...new Set([whole, ...lines.filter((line) => !PEM_BORDER.test(line))])].filter(
    (text) => text.length >= SECRET_MIN_CHARS,
  );
}

/** One JSON text, and a JSON text that is a string inside another one. Encoders differ in what they escape. */
function jsonForms(secret: string): string[] {
  const escaped = JSON.stringify(secret).slice(1, -1);
  const ascii = escapeUnicode(escaped, NON_ASCII);
  const slashes = ascii.replaceAll("/", "\\/");
  const quotesAsCodes = escaped.replaceAll('\\"', "\\u0022");
  const forms = [
    escaped,
    ascii,
    slashes,
    // Go, Ruby on Rails.
    escapeUnicode(escaped, /[<>&\u2028\u2029]/g),
    // PHP with JSON_HEX_TAG and JSON_HEX_AMP, and with all JSON_HEX_ options; JavaScript inside HTML.
    ...[/[<>&]/g, /[<>&']/g].flatMap((characters) => [
      upperEscapes(escaped, characters),
      upperEscapes(slashes, characters),
    ]),
    upperEscapes(slashes.replaceAll('\\"', "\\u0022"), /[<>&']/g),
    // Go's and Python's ways to put JSON into HTML.
    escapeUnicode(escaped, /[<>&']/g),
    // .NET.
    upperEscapes(upperEscapes(quotesAsCodes, NON_ASCII), /[<>&'+`]/g),
  ];
  return [...forms, ...forms.map((form) => JSON.stringify(form).slice(1, -1))];
}

const NON_ASCII = /[\u007f-\uffff]/g;

function escapeUnicode(text: string, characters: RegExp): string {
  return text.replace(characters, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
}

function upperEscapes(text: string, characters: RegExp): string {
  return text.replace(
    characters,
    (char) => `\\u${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`,
  );
}

/** HTML and XML. Encoders differ in how they write quotes, and some leave one or both as they are. */
function markupForms(secret: string): string[] {
  const text = secret.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const doubles = ['"', "&quot;", "&#34;", "&#x22;"];
  const singles = ["'", "&#39;", "&#x27;", "&#039;", "&apos;"];
  return doubles.flatMap((double) =>
    singles.map((single) => text.replaceAll('"', double).replaceAll("'", single)),
  );
}

/** Programs differ in what they leave as it is: `!'()*` (JavaScript), `*` (forms), nothing of it (Python, curl), or `/`. */
function urlForms(secret: string): string[] {
  const component = encodeURIComponent(secret.toWellFormed());
  const form = new URLSearchParams({ "": secret }).toString().slice(1);
  const strict = component.replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
  const strictForm = strict.replaceAll("%20", "+");
  const bases = [component, form, strict, strictForm, strictForm.replaceAll("~", "%7E")];
  const forms = bases.flatMap((base) => [base, base.replaceAll("%2F", "/")]);
  const lowerCase = (text: string): string => text.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase());
  return [...forms, ...forms.map(lowerCase)];
}

/**
 * Encoded alone (padded or not), and inside something longer: there the characters that hold
 * bits of the secret only, for each of the three ways that a byte may fall onto the four characters of a group.
 */
function base64Forms(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const alone = bytes.toString("base64");
  const inside = [0, 1, 2].map((before) => {
    const text = Buffer.concat([Buffer.alloc(before), bytes]).toString("base64");
    const first = Math.ceil((before * BITS_PER_BYTE) / BITS_PER_CHAR);
    const end = Math.floor(((before + bytes.length) * BITS_PER_BYTE) / BITS_PER_CHAR);
    return text.slice(first, end);
  });
  return [alone, alone.replace(/=+$/, ""), ...inside];
}
