/** The part of node:crypto that workerd offers under nodejs_compat and the outbox uses: a hash without a promise. */
declare module "node:crypto" {
  export function createHash(algorithm: "sha256"): {
    update(text: string): { digest(encoding: "base64url"): string };
  };
}
