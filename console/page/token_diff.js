/** Compare a forged token with the user's own, as text and member by member. */

import { decodeText } from "./jwt.js";

/** Seconds by which the times of two tokens may differ before the difference is worth showing: a year. */
const NOTEWORTHY_DIFFERENCE = 31_536_000;

const TIMES = ["iat", "nbf", "exp"];
/** Claims that differ between any two users. */
const PERSONAL = ["sub", "name", "sid", "jti"];

/**
 * @typedef {object} Member
 * @property {string} text  as it stands in the token, so that a duplicate shows twice
 * @property {string} name
 * @property {*} value
 * @property {boolean} differs
 * @property {boolean} [missing]  only the other token has it
 */

/**
 * List the members of a segment, and compare each with the same segment of another token.
 *
 * @param {string | undefined} segment
 * @param {string} other
 * @param {boolean} otherUser  the tokens belong to two users, so ignore personal claims and small differences in time
 * @returns {Member[] | null}  null if the segment isn't a JSON object
 */
export function compareMembers(segment, other, otherUser) {
  const [members, expected] = [splitMembers(segment), splitMembers(other)];
  if (!members) return null;
  const names = members.map(({ name }) => name);
  const isDuplicate = (name) => names.indexOf(name) !== names.lastIndexOf(name);
  const isExpected = (member) => !isDuplicate(member.name) && expected.some((each) => isSame(member, each, otherUser));
  const missing = expected.filter(({ name }) => !names.includes(name));
  return [
    ...members.map((member) => ({ ...member, differs: !isExpected(member) })),
    ...missing.map((member) => ({ ...member, differs: true, missing: true })),
  ];
}

/** Decode a segment; return an empty string if that fails. */
export function decodeOrEmpty(segment) {
  try {
    return decodeText(segment);
  } catch {
    return "";
  }
}

/**
 * Find the range of each segment that differs from the same segment of another token.
 *
 * @returns {{text: string, from: number, to: number}[]}  from === to if nothing differs
 */
export function changedRanges(token, other) {
  const segments = other.split(".");
  return token.split(".").map((text, index) => {
    const old = segments[index] ?? "";
    let from = 0;
    while (from < text.length && from < old.length && text[from] === old[from]) from++;
    let tail = 0;
    while (tail < Math.min(text.length, old.length) - from && text.at(-1 - tail) === old.at(-1 - tail)) tail++;
    return { text, from, to: text.length - tail };
  });
}

function isSame(one, other, otherUser) {
  if (one.name !== other.name) return false;
  if (otherUser && PERSONAL.includes(one.name)) return true;
  if (otherUser && TIMES.includes(one.name)) {
    return typeof one.value === "number" && Math.abs(one.value - other.value) < NOTEWORTHY_DIFFERENCE;
  }
  return JSON.stringify(one.value) === JSON.stringify(other.value);
}

/** Split the text of a JSON object at the commas between its members. JSON.parse alone would drop duplicates. */
function splitMembers(segment) {
  const text = decodeOrEmpty(segment ?? "").trim();
  try {
    const object = JSON.parse(text);
    if (object === null || typeof object !== "object" || Array.isArray(object)) return null;
  } catch {
    return null;
  }
  const inside = text.slice(1, -1);
  const cuts = [-1];
  let depth = 0;
  for (const { 0: token, index } of inside.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{},]/gs)) {
    if ("[{".includes(token)) depth += 1;
    else if ("]}".includes(token)) depth -= 1;
    else if (token === "," && depth === 0) cuts.push(index);
  }
  const pieces = cuts.map((cut, index) => inside.slice(cut + 1, cuts[index + 1]).trim()).filter(Boolean);
  return pieces.map((piece) => {
    const [[name, value]] = Object.entries(JSON.parse(`{${piece}}`));
    return { text: piece, name, value };
  });
}
