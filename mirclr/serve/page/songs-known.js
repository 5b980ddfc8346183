/** The songs that were seen on the page, by id: what plays or is named again is not asked for twice. @module */

import { get } from "./api.js";

/** @typedef {import("./api.js").Track} Track */

const MOST = 500; // ids of one question
/** @type {Map<number, Track>} */
const known = new Map();

/**
 * Keep songs that an answer held.
 * @template {Track} T
 * @param {T[]} tracks
 * @returns {T[]}
 */
export function remember(tracks) {
  for (const track of tracks) known.set(track.id, track);
  return tracks;
}

/**
 * A song that was seen.
 * @param {number} id
 */
export const seen = (id) => known.get(id);

/**
 * The songs of ids, in their order; those that the library no longer holds are left out.
 * @param {number[]} ids
 * @returns {Promise<Track[]>}
 */
export async function tracksOf(ids) {
  const missing = [...new Set(ids.filter((id) => !known.has(id)))];
  for (let i = 0; i < missing.length; i += MOST) {
    const some = missing.slice(i, i + MOST);
    remember((await get("/tracks", { ids: some.join(","), limit: some.length })).tracks);
  }
  return ids.flatMap((id) => known.get(id) ?? []);
}
