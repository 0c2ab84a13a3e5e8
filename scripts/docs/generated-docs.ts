/**
 * What of docs/ is made from the code: http.md as a whole, and the parts of other pages between
 * `<!-- generated: <part> -->` and `<!-- end -->`. Renders and writes nothing: the build writes, a test compares.
 */
import { readFile } from "node:fs/promises";
import { format, resolveConfig } from "prettier";
import { openApiDocument } from "../../contract/openapi.ts";
import { projectPath } from "../project.ts";
import { boundsTable } from "./bounds.ts";
import { haltsTable, parksTable } from "./outbox-codes.ts";
import { httpReference, type HttpExamples } from "./http-reference.ts";

/** A page below the project's root, as it should be. */
export interface GeneratedPage {
  path: string;
  content: string;
}

const PARTS: Record<string, () => string> = {
  bounds: boundsTable,
  halts: haltsTable,
  parks: parksTable,
};
const PART = /(<!-- generated: (\w+) -->\n)[\s\S]*?(<!-- end -->)/g;

export async function generatedPages(): Promise<GeneratedPage[]> {
  const examples = JSON.parse(await read("docs/http-examples.json")) as HttpExamples;
  return Promise.all([
    page("docs/http.md", httpReference(openApiDocument(""), examples)),
    page("docs/operations.md", withParts(await read("docs/operations.md"))),
  ]);
}

function withParts(text: string): string {
  return text.replace(PART, (whole, begin: string, name: string, end: string) => {
    const part = PARTS[name];
    return part === undefined ? whole : `${begin}\n${part()}\n\n${end}`;
  });
}

async function page(path: string, text: string): Promise<GeneratedPage> {
  const file = projectPath(path);
  return { path, content: await format(text, { ...(await resolveConfig(file)), filepath: file }) };
}

async function read(path: string): Promise<string> {
  return readFile(projectPath(path), "utf8");
}
