/** The texts under which the value of a secret may turn up in output (invariant 15). Pure. */

/**
 * Shorter values are not treated as secrets: they occur everywhere by chance ("true", "8080"), and a text full of
 * holes tells nobody anything.
 */
export const SECRET_MIN_CHARS = 6;
const BITS_PER_BYTE = 8;
const BITS_PER_CHAR = 6;

/** Forms of one value, none twice; none at all of a value that is too short to be a secret. */
export interface SecretForms {
  /** As they are. */
  exact: string[];
  /** Also where lines end in the middle of them: after 76 characters, or 64, or 60, or elsewhere. */
  overLines: string[];
}

export function secretForms(value: string): SecretForms {
  // Whoever reads a secret from a file has its newline too, and most programs drop it.
  const secret = value.trim();
  if (secret.length < SECRET_MIN_CHARS) return { exact: [], overLines: [] };
  return {
    exact: [...new Set([secret, ...jsonForms(secret), ...urlForms(secret)])],
    overLines: [...new Set(base64Forms(secret))],
  };
}

function jsonForms(secret: string): string[] {
  const escaped = JSON.stringify(secret).slice(1, -1);
  const ascii = escaped.replace(
    /[\u007f-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
  return [escaped, ascii, ascii.replaceAll("/", "\\/")];
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
  const forms = [alone, alone.replace(/=+$/, ""), ...inside];
  return [...forms, ...forms.map((form) => form.replaceAll("+", "-").replaceAll("/", "_"))];
}
