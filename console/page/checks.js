/** The checks of the token verifier, and how far through them a token got. */

import { element } from "./dom.js";

/** @type {{number: number, name: string, sentence: string}[]} */
export let checks = [];

/** Set the list of checks, in the order in which the verifier runs them. */
export function setChecks(list) {
  checks = list;
}

/**
 * Read from a response whether the token was accepted, or which check it failed.
 *
 * @returns {{accepted: boolean, failed: number | null}}  false and null if the response doesn't tell
 */
export function verdict(call) {
  const failed = call.problem?.check;
  if (checks.some(({ number }) => number === failed)) return { accepted: false, failed };
  // the service looks at the scope only after it has verified the token
  const accepted = (call.status >= 200 && call.status < 300) || call.problem?.code === "scope_missing";
  return { accepted, failed: null };
}

const STATES = { passed: ["✓", "passed"], failed: ["✕", "failed"], untried: ["–", "not run"] };

/** List every check with its result. */
export function checkList({ accepted, failed }) {
  const items = checks.map(({ number, name, sentence }) => {
    let state = "untried";
    if (accepted || number < failed) state = "passed";
    else if (number === failed) state = "failed";
    const [sign, word] = STATES[state];
    return element(
      "li",
      { class: `check ${state}`, "data-check": String(number), "data-state": state },
      element("span", { class: "sign", "aria-hidden": "true" }, sign),
      element("span", { class: "number" }, String(number)),
      element("span", { class: "what" }, element("b", {}, name), " ", element("span", { class: "note" }, sentence)),
      element("span", { class: "word" }, word),
    );
  });
  return element("ol", { class: "checks" }, ...items);
}
