/** What became of a call, in a line, and what to do next. */

import { baseOf } from "./api.js";
import { h } from "./dom.js";
import { accessToken } from "./session.js";

const NEXT = {
  credentials_invalid: "Check address and password, or register.",
  email_taken: "Sign in instead, or take another address.",
  token_expired: "Refresh the token, then try again.",
  refresh_token_invalid: "Sign in again.",
  refresh_token_reused: "Sign in again.",
  version_mismatch: "The list was read again; make your change on what is there now.",
};

/** What to type where a service does not run. */
const START = {
  auth: "auth does not run: with make run, `make start-auth`; with Compose, `docker compose start auth-db auth`.",
  posts: "posts does not run: `make run`; with Compose, `docker compose start posts-db posts`.",
};

/** Milliseconds for which “No answer” is shown at least, also where the service is back at once. */
const READABLE = 4000;

const states = {};
const silences = new Map();

/** Take in what a service said about being ready. “No answer” from one that is back is taken away. */
export function heard(service, { state }) {
  states[service] = state;
  if (state !== "ready") return;
  for (const [region, { from, at }] of silences) {
    if (from === service && performance.now() - at > READABLE) report(region, null);
  }
}

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
        `Most likely ${START[call.service]}`,
        call.service === "auth" && accessToken() && states.posts === "ready" ? "posts goes on with the token you have." : "",
        `If it does run: can ${baseOf(call.service)} be reached from here, and does its CORS_ORIGINS name this page’s origin?`,
      ].filter(Boolean),
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
      // the detail of most says it all
      ...(problem.errors ?? []).filter((fault) => !problem.detail?.includes(fault.message)).map((fault) => `${fault.pointer ?? fault.parameter ?? fault.header}: ${fault.message}`),
      [wait ? `Try again in ${wait} s.` : "", NEXT[problem.code] ?? problem.hint ?? ""].filter(Boolean).join(" "),
    ].filter(Boolean),
  };
}

/** Show it in a live region; without a call, empty the region. */
export function report(region, call) {
  silences.delete(region);
  if (call && !call.answered) silences.set(region, { from: call.service, at: performance.now() });
  if (!call) {
    region.replaceChildren();
    return;
  }
  const { tone, title, lines } = outcome(call);
  region.replaceChildren(
    h("div", { class: `message ${tone}` }, h("p", {}, h("b", {}, title)), ...lines.map((line) => h("p", {}, line))),
  );
}

/** Say in a live region that something was done. */
export function confirm(region, text) {
  silences.delete(region);
  region.replaceChildren(h("div", { class: "message good" }, h("p", {}, h("b", {}, text))));
}
