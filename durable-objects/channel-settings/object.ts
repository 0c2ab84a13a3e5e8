/**
 * ChannelSettings: one per channel, named by its place key. A small document, asked by short ASCII texts: what itty-durable
 * is made for. It is reached through client.ts alone, which knows the traps of that library; here they are these:
 *
 * 1. Methods run on a proxy of the object: private `#fields` are out of reach.
 * 2. Arguments and answers travel as JSON, the former in a header: they are packed into ASCII (client.ts).
 * 3. An error that is thrown loses its class on the way: what can go wrong is said in the answer.
 * 4. Own properties are what is stored, all of them.
 */
import { createDurable } from "itty-durable/itty-durable.js";
import { unpacked } from "./packing.ts";
import {
  changeSettings,
  NO_SETTINGS,
  setGuard,
  type Guard,
  type Settings,
  type SettingsAnswer,
  type SettingsChange,
} from "./settings.ts";

export class ChannelSettings extends createDurable() {
  settings: Settings = NO_SETTINGS;

  read(): Settings {
    return this.settings;
  }

  async change(packed: string): Promise<SettingsAnswer> {
    return this.keep(changeSettings(this.settings, unpacked(packed) as SettingsChange));
  }

  async guard(packed: string): Promise<SettingsAnswer> {
    return this.keep(setGuard(this.settings, unpacked(packed) as Guard));
  }

  /** The outbox knows what the channel follows, as of that change. */
  async told(rev: string): Promise<SettingsAnswer> {
    const toldRev = Math.max(this.settings.toldRev, Number(rev));
    return this.keep({ kind: "set", settings: { ...this.settings, toldRev } });
  }

  async keep(answer: SettingsAnswer): Promise<SettingsAnswer> {
    if (answer.kind !== "set") return answer;
    this.settings = answer.settings;
    await this.persist();
    return answer;
  }
}
