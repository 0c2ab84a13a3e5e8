/** Of Discord's permissions, the one that counts here (discord-api-docs, "Permissions"). */
const ADMINISTRATOR = 1n << 3n;

/** @param permissions bits as decimals, of a member in a channel or of a role */
export function isAdministrator(permissions: string): boolean {
  return /^\d{1,30}$/.test(permissions) && (BigInt(permissions) & ADMINISTRATOR) !== 0n;
}
