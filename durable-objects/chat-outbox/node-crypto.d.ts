/** The part of node:crypto that workerd offers under nodejs_compat and the edge uses: hashes without a promise. */
declare module "node:crypto" {
  interface Hashing {
    update(text: string): { digest(encoding: "base64url"): string };
  }
  export function createHash(algorithm: "sha256"): Hashing;
  export function createHmac(algorithm: "sha256", key: string): Hashing;
  export function timingSafeEqual(a: Uint8Array, b: Uint8Array): boolean;
}
