/** What header and payload say as text, member by member, and where that differs from another token. Pure. */

import { decodeText } from "./token.js";

/** Seconds. What two tokens of the same kind may lie apart without being told apart: a year. */
const APART = 31_536_000;

const TIMES = ["iat", "nbf", "exp"];
/** These differ between any two tokens of two users. */
const PERSONAL = ["sub", "name", "sid", "jti"];

/**
 * @typedef {object} Member
 * @property {string} text  as it stands, so that a name that is there twice is seen twice
 * @property {string} [name]
 * @property {*} [value]
 * @property {boolean} differs
 * @property {boolean} [missing]  the other token has it, this one doesn't
 */

/**
 * The members of a segment, with those marked that differ from the same segment of another token.
 *
 * @param {string | undefined} segment
 * @param {string} other
 * @param {boolean} stranger  it is somebody else's: who it names and when exactly it was issued says nothing
 * @returns {Member[] | null}  null: it is no JSON object
 */
export function members(segment, other, stranger) {
  const [mine, good] = [split(segment), split(other)];
  if (!mine) return null;
  const names = mine.map(({ name }) => name);
  const twice = (name) => names.indexOf(name) !== names.lastIndexOf(name);
  const found = mine.map((member) => ({ ...member, differs: twice(member.name) || !good.some((old) => same(member, old, stranger)) }));
  const missing = good.filter(({ name }) => !names.includes(name));
  return [...found, ...missing.map((member) => ({ ...member, differs: true, missing: true }))];
}

/** What a segment says, whatever it is; empty where it can't be decoded. */
export function plain(segment) {
  try {
    return decodeText(segment);
  } catch {
    return "";
  }
}

function same(one, old, stranger) {
  if (one.name !== old.name) return false;
  if (stranger && PERSONAL.includes(one.name)) return true;
  if (stranger && TIMES.includes(one.name)) return typeof one.value === "number" && Math.abs(one.value - old.value) < APART;
  return JSON.stringify(one.value) === JSON.stringify(old.value);
}

/** Cut the text of an object at the commas between its members: JSON.parse would drop all but the last of a name. */
function split(segment) {
  const text = plain(segment ?? "").trim();
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
