/** `node scripts/build-docs.ts`: writes what of docs/ is made from the code. */
import { generatedPages } from "./docs/generated-docs.ts";
import { projectPath, writeIfChanged } from "./project.ts";

for (const { path, content } of await generatedPages())
  if (await writeIfChanged(projectPath(path), content)) console.log(`wrote ${path}`);
