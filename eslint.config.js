/**
 * Types are checked by rule: a forgotten `await` lets a bad signature through, so no promise may float. And who may
 * import whom is a rule too, since the layout means nothing without it.
 */
import { defineConfig, globalIgnores } from "eslint/config";
import tseslint from "typescript-eslint";

/** Folder → the folders of ours that it may import. contract/ is open to all. */
const MAY_IMPORT = {
  contract: [],
  catalog: ["contract"],
  client: ["contract"],
  worker: ["contract", "durable-objects", "queue-consumer"],
  "durable-objects": ["contract", "worker/env.ts", "worker/deployed-flows.ts"],
  "queue-consumer": ["contract", "worker"],
  "runner-agent": ["contract", "client", "catalog"],
};
const FOLDERS = Object.keys(MAY_IMPORT);

/** A folder's own depth decides what `../` means, so each depth has its rule. */
const DEPTHS = ["*.ts", "*/*.ts", "*/*/*.ts"];

const borders = Object.entries(MAY_IMPORT).flatMap(([folder, allowed]) =>
  DEPTHS.map((files, depth) => {
    const up = "../".repeat(depth + 1);
    const forbidden = FOLDERS.filter((other) => other !== folder && !allowed.includes(other));
    return {
      files: [`${folder}/${files}`],
      rules: {
        "no-restricted-imports": [
          "error",
          {
            patterns: [
              {
                // The last match decides: single files that are allowed stand behind their folder.
                group: [
                  ...forbidden.map((other) => `${up}${other}/**`),
                  ...allowed.filter((path) => path.endsWith(".ts")).map((path) => `!${up}${path}`),
                ],
                message: `${folder}/ imports only ${allowed.join(", ") || "nothing of ours"}: see the layout in the README`,
              },
            ],
          },
        ],
      },
    };
  }),
);

export default defineConfig([
  globalIgnores([
    "dist/",
    "contract/generated/",
    "worker/catalog/generated/",
    "runner-agent/codex/generated*/",
    ".codex-flow/",
    "**/*.d.ts",
  ]),
  {
    files: ["**/*.ts"],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: {
      parserOptions: {
        project: ["./tsconfig.json", "./tsconfig.edge.json"],
        tsconfigRootDir: import.meta.dirname,
      },
    },
    rules: {
      "@typescript-eslint/no-non-null-assertion": "error",
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-floating-promises": "error",
      "@typescript-eslint/no-misused-promises": "error",
      "@typescript-eslint/switch-exhaustiveness-check": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      "@typescript-eslint/no-confusing-void-expression": ["error", { ignoreArrowShorthand: true }],
      "@typescript-eslint/return-await": "off",
      "@typescript-eslint/no-dynamic-delete": "off",
      "@typescript-eslint/no-invalid-void-type": "off",
      "@typescript-eslint/unified-signatures": "off",
      // Options are objects of functions that are handed on one by one; none of them uses `this`.
      "@typescript-eslint/unbound-method": "off",
    },
  },
  {
    // Objects answer by RPC: their methods are promises to every caller, whether or not they await inside.
    files: ["durable-objects/**/*.ts", "test/**/*.ts"],
    rules: { "@typescript-eslint/require-await": "off" },
  },
  {
    // Once vitest has begun with the tests of a file it takes no hook of the file any more, and does not say so.
    files: ["test/**/*.ts"],
    rules: {
      "no-restricted-syntax": [
        "error",
        {
          selector: "CallExpression[callee.name=/^(before(All|Each)|test)$/] Identifier[name='afterAll']",
          message: "never runs from here: use atEndOfFile (test/support/flow-workspace.ts)",
        },
      ],
    },
  },
  {
    // discord-api-types gives types alone, since its enums would cost the Worker 89 KB: they are met with their numbers.
    files: ["worker/discord/**/*.ts", "contract/chat/discord-commands.ts"],
    rules: {
      "@typescript-eslint/no-unsafe-enum-comparison": "off",
      "@typescript-eslint/no-unsafe-enum-assignment": "off",
    },
  },
  ...borders,
]);
