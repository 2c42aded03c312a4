// Everything a caller can count on, in the order of the table in providers/README.md.
import type { Behaviour } from "./behaviour.ts";
import { CONVERSATIONS } from "./conversations.ts";
import { ENDS } from "./ends.ts";
import { WISHES } from "./wishes.ts";

export const BEHAVIOURS: readonly Behaviour[] = [...CONVERSATIONS, ...WISHES, ...ENDS];
