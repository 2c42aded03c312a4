// What else than limits keeps a call from a place, and may change while it waits: breakers, as the queue sees them.

export interface Door {
  /** Doors with the same id are open and closed together. */
  id: string;
  isOpen(): boolean;
  /** Closed, but somebody to whom no other is open may try it. */
  mayTry(): boolean;
  /** Somebody goes in, now. */
  enter(): void;
}

/** Absent: always open. */
interface Behind {
  door?: Door | undefined;
}

/** Where somebody could go in as things stand; everywhere when that is nowhere. */
export function openOf<P extends Behind>(places: readonly P[]): readonly P[] {
  const open = places.filter(({ door }) => door === undefined || door.isOpen());
  return open.length === 0 ? places : open;
}

/** Looks at each door once a round, however many wait at it, and again when somebody went in. */
export class Doors {
  readonly #seen = new Map<string, boolean>();

  isOpen(door: Door | undefined): boolean {
    return door === undefined || (this.#seen.get(door.id) ?? this.look(door));
  }

  /** Anew. */
  look(door: Door | undefined): boolean {
    if (door === undefined) return true;
    const isOpen = door.isOpen();
    this.#seen.set(door.id, isOpen);
    return isOpen;
  }

  /** Whether somebody to whom these places are open or not may go through that door. */
  letIn(places: readonly Behind[], door: Door | undefined): boolean {
    if (door === undefined || this.isOpen(door)) return true;
    return door.mayTry() && !places.some((place) => this.isOpen(place.door));
  }
}
