/** What became of a call, in a line, and what to do next. */

import { baseOf } from "./api.js";
import { h } from "./dom.js";

const NEXT = {
  credentials_invalid: "Check address and password, or register.",
  email_taken: "Sign in instead, or take another address.",
  token_expired: "Refresh the token, then try again.",
  refresh_token_invalid: "Sign in again.",
  refresh_token_reused: "Sign in again.",
  version_mismatch: "The list below was read again; make your change on what is there now.",
};

/** One that succeeded. */
export const fine = (call) => call.answered && call.status < 400 && !call.strange;

/** How a call ended, for its colour. */
export const ending = (call) => (!call.answered ? "lost" : fine(call) ? "fine" : "refused");

/**
 * @param {import("./api.js").Call} call
 * @returns {{tone: "good" | "bad", title: string, lines: string[]}}
 */
export function outcome(call) {
  if (!call.answered) {
    return {
      tone: "bad",
      title: `No answer from ${call.service}`,
      lines: [
        `Nothing came back from ${baseOf(call.service)}: it is down, can’t be reached, or does not allow this page’s origin (CORS_ORIGINS).`,
        call.service === "auth"
          ? "Start auth again, then try again. posts goes on with the token you have."
          : "Start posts again, then try again.",
      ],
    };
  }
  const title = `${call.status} ${call.reason}`.trim();
  if (call.strange) {
    return {
      tone: "bad",
      title: `${title} · not what ${call.service} answers`,
      lines: [`Something else seems to stand at ${baseOf(call.service)}; “Every call” shows what came back.`],
    };
  }
  const problem = call.problem;
  if (!problem) return { tone: fine(call) ? "good" : "bad", title, lines: [] };
  const wait = call.answer.get("Retry-After");
  return {
    tone: "bad",
    title: `${title} · ${problem.code}`,
    lines: [
      problem.detail,
      ...(problem.errors ?? []).map((fault) => `${fault.pointer ?? fault.parameter ?? fault.header}: ${fault.message}`),
      [wait ? `Try again in ${wait} s.` : "", NEXT[problem.code] ?? problem.hint ?? ""].filter(Boolean).join(" "),
    ].filter(Boolean),
  };
}

/** Show it in a live region; without a call, empty the region. */
export function report(region, call) {
  if (!call) {
    region.replaceChildren();
    return;
  }
  const { tone, title, lines } = outcome(call);
  region.replaceChildren(
    h("div", { class: `message ${tone}` }, h("p", {}, h("b", {}, title)), ...lines.map((line) => h("p", {}, line))),
  );
}
