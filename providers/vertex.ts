// Gemini on Google Cloud: the same protocol as the Gemini API, with the access tokens of a service account, or (express
// mode) with a key.
import type { Provider } from "../src/dialect.ts";
import { keyHeader } from "./auth.ts";
import { googleDialect } from "./dialects/google-generate.ts";

const VARIABLES = { project: "GOOGLE_VERTEX_PROJECT", location: "GOOGLE_VERTEX_LOCATION" };

export const vertex: Provider = {
  id: "vertex",
  name: "Google Vertex AI",
  docs: "https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference",
  // Express mode: a key belongs to a project by itself.
  baseUrl: "https://aiplatform.googleapis.com/v1",
  baseUrlEnv: ["GOOGLE_VERTEX_BASE_URL"],
  keyEnv: ["GOOGLE_VERTEX_API_KEY"],
  enabledBy: "key",
  credentials: {
    kind: "google-service-account",
    fileEnv: ["GOOGLE_APPLICATION_CREDENTIALS"],
    baseUrl(variable) {
      const project = variable(VARIABLES.project);
      const location = variable(VARIABLES.location);
      if (project === undefined) return { lack: `set ${VARIABLES.project}` };
      if (location === undefined) return { lack: `set ${VARIABLES.location} (global, eu, europe-west4, …)` };
      if (!/^[a-z][a-z0-9-]*$/.test(location))
        return { lack: `${VARIABLES.location} is not a location, such as global, eu or europe-west4` };
      const path = `projects/${encodeURIComponent(project)}/locations/${location}`;
      return { url: `https://${hostOf(location)}/v1/${path}` };
    },
  },
  dialect: googleDialect({
    // A tuned model is `endpoints/<number>`.
    modelPrefix: "publishers/google/models/",
    // Ids of calls are a 400 in express mode (vercel/ai#17902); server-side parts do not exist (vercel/ai#14767).
    switches: { functionIds: false, cloudAddresses: true, serverSideParts: false },
    logprobs: /^gemini-2\.\d+-flash/,
    serviceTierHeader: "x-vertex-ai-llm-shared-request-type",
    outputTokensMax: 65_536,
    extraTop: ["modelArmorConfig"],
    extraGeneration: ["audioTimestamp", "routingConfig"],
    wrapsCountedRequest: false,
  }),
  authorize: keyHeader("x-goog-api-key"),
  catalog: "google",
};

/** `us` and `eu` are regions of several, with hosts of their own (vercel/ai#15777). */
function hostOf(location: string): string {
  if (location === "global") return "aiplatform.googleapis.com";
  if (location === "us" || location === "eu") return `aiplatform.${location}.rep.googleapis.com`;
  return `${location}-aiplatform.googleapis.com`;
}
