// Providers that answer without a network or a bill: the built-in simulator behind each of the three wire protocols.
import type { Provider } from "../src/dialect.ts";
import { anthropic } from "./anthropic.ts";
import { google } from "./google.ts";
import { openai } from "./openai.ts";

/** Stands for the address of the embedded simulator, which is known only when it listens. */
export const SIMULATOR_URL = "http://simulator.invalid";

export const simulatedOpenai: Provider = simulated(openai, "/openai/v1");
export const simulatedAnthropic: Provider = simulated(anthropic, "/anthropic");
export const simulatedGoogle: Provider = simulated(google, "/google/v1beta");

/** Same wire protocol and catalogue as the real one. */
function simulated(real: Provider, path: string): Provider {
  return {
    id: `simulated-${real.id}`,
    name: `${real.name} (simulated)`,
    docs: real.docs,
    baseUrl: SIMULATOR_URL + path,
    baseUrlEnv: [],
    keyEnv: [],
    enabledBy: "url",
    dialect: real.dialect,
    authorize: real.authorize,
    catalog: real.catalog ?? real.id,
    standsInFor: real.id,
  };
}
