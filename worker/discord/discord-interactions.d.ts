/**
 * The part of discord-interactions that is used here. tsconfig.edge.json points there: the package's own types bring those of
 * Node into the Worker, where `setTimeout` and others mean something else.
 */
/** False for anything that does not fit; it never throws. It checks no age. A promise is truthy: await it. */
export function verifyKey(
  body: Uint8Array,
  signature: string,
  timestamp: string,
  publicKey: CryptoKey,
): Promise<boolean>;
