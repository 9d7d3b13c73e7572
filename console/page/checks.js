/** The thirteen checks of the verifier, in its order, and how far an answer says that a token got. */

import { h } from "./dom.js";

/** Name, what it asks for, and the name in a sentence. */
export const CHECKS = [
  ["Size", "at most 4096 bytes, ASCII", "the size"],
  ["Three segments", "canonical base64url, unpadded", "the three segments"],
  ["Header", "one JSON object, no name twice", "the header"],
  ["Nothing extra in it", "no crit, jku, jwk, x5u, x5c, b64", "nothing extra in the header"],
  ["typ", "is at+jwt", "typ"],
  ["kid", "names a key that posts has", "kid"],
  ["alg", "is the algorithm of that key", "alg"],
  ["Signature", "over the exact bytes received", "the signature"],
  ["Claims", "one JSON object, no name twice", "the claims"],
  ["Nothing missing", "nine claims have to be there", "nothing missing"],
  ["Types and values", "UUIDs, clean text, numbers", "types and values"],
  ["iss, aud", "from auth, for posts", "iss and aud"],
  ["Times", "exp, nbf, iat; lives 24 h at most", "the times"],
];

/**
 * What an answer says about the token, by the service's own words alone.
 *
 * @returns {{accepted: boolean, failed: number | null}}  neither, where the answer doesn't tell
 */
export function verdict(call) {
  const failed = call.problem?.check;
  if (Number.isInteger(failed) && failed >= 1 && failed <= CHECKS.length) return { accepted: false, failed };
  // a scope is looked for in a token that has been verified
  const accepted = (call.status >= 200 && call.status < 300) || call.problem?.code === "scope_missing";
  return { accepted, failed: null };
}

const STATES = { passed: ["✓", "passed"], failed: ["✕", "refused here"], untried: ["–", "not tried"] };

/** The list, ticked as far as the verdict goes. */
export function checkList({ accepted, failed }) {
  const items = CHECKS.map(([name, what], index) => {
    const number = index + 1;
    let state = "untried";
    if (accepted || number < failed) state = "passed";
    else if (number === failed) state = "failed";
    const [sign, word] = STATES[state];
    return h(
      "li",
      { class: `check ${state}`, "data-check": String(number), "data-state": state },
      h("span", { class: "sign", "aria-hidden": "true" }, sign),
      h("span", { class: "number" }, String(number)),
      h("span", { class: "what" }, h("b", {}, name), " ", h("span", { class: "note" }, what)),
      h("span", { class: "word" }, word),
    );
  });
  return h("ol", { class: "checks" }, ...items);
}
