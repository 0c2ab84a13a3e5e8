/**
 * Everything that is made from the source. `node scripts/build.ts` makes all of it; `node scripts/build.ts edge` only
 * what the Worker needs: that is what wrangler's [build] runs, for dev, deploy and tests alike.
 *
 *   CODEX_FLOW_WORKSPACE   folder whose .codex/flows and flows are compiled into the Worker (default: this project)
 *   CODEX_FLOW_CATALOG     file that the compiled flows are written to (default: worker/catalog/generated/catalog.js)
 */
import { buildCatalog } from "./build-catalog.ts";
import { buildClient } from "./build-client.ts";
import { buildCodexProtocol } from "./build-codex-protocol.ts";
import { buildContract } from "./build-contract.ts";
import { buildProgram } from "./build-program.ts";

try {
  await buildContract();
  await buildCatalog(process.env["CODEX_FLOW_WORKSPACE"], process.env["CODEX_FLOW_CATALOG"]);
  if (process.argv[2] !== "edge") {
    await buildCodexProtocol();
    await buildProgram();
    await buildClient();
  }
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
