/** Values as short ASCII texts, for itty-durable's header. */

export function packed(value: object): string {
  return encodeURIComponent(JSON.stringify(value));
}

export function unpacked(text: string): unknown {
  return JSON.parse(decodeURIComponent(text));
}
