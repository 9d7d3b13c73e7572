/** Messages that tell the user how a call ended and what to do next. */

import { serviceUrl } from "./api.js";
import { element, prose } from "./dom.js";
import { accessToken } from "./session.js";

/** What to do next, by error code; for the other codes, the hint of the service is shown. */
const NEXT_STEPS = {
  credentials_invalid: "Check the email address and password, or register.",
  email_taken: "Sign in instead, or use another email address.",
  token_expired: "Select Refresh in step 2, then try again.",
  refresh_token_invalid: "Sign in again.",
  refresh_token_reused: "Sign in again.",
  version_mismatch: "The list now shows the latest version. Make your change again.",
};

const HOW_TO_START = {
  auth: "The service is probably not running. Start it with `make start-auth` or, if you use Compose, with `docker compose start auth-db auth`.",
  posts: "The service is probably not running. Start it with `make run` or, if you use Compose, with `docker compose start posts-db posts`.",
};

/** How long a “No response” message stays at least, in milliseconds, even if the service is back sooner. */
const MINIMUM_DISPLAY_MS = 4000;

const states = {};
const unanswered = new Map();

/** Remember a service's state, and remove its “No response” messages once it is ready again. */
export function clearOutdatedMessages(service, { state }) {
  states[service] = state;
  if (state !== "ready") return;
  for (const [region, shown] of unanswered) {
    if (shown.service === service && performance.now() - shown.at > MINIMUM_DISPLAY_MS) report(region, null);
  }
}

export const succeeded = (call) => call.answered && call.status < 400 && !call.unexpected;

/** Return how a call ended; CSS colours it by this name. */
export const ending = (call) => (!call.answered ? "lost" : succeeded(call) ? "fine" : "refused");

/**
 * Describe how a call ended.
 *
 * @param {import("./api.js").Call} call
 * @returns {{tone: "good" | "bad", title: (Node | string)[], lines: (Node | string)[][]}}
 */
export function describe(call) {
  const url = serviceUrl(call.service);
  if (!call.answered) {
    const usable = call.service === "auth" && accessToken() && states.posts === "ready";
    return {
      tone: "bad",
      title: prose(`No response from \`${call.service}\``),
      lines: [
        prose(HOW_TO_START[call.service]),
        prose(`If it is running, check that your browser can reach \`${url}\` and that the service’s \`CORS_ORIGINS\` includes \`${location.origin}\`.`),
        ...(usable ? [prose("The `posts` service still accepts your token.")] : []),
      ],
    };
  }
  const title = `${call.status} ${call.reason}`.trim();
  if (call.unexpected) {
    return {
      tone: "bad",
      title: prose(`${title} · unexpected response from \`${call.service}\``),
      lines: [prose(`Something other than the \`${call.service}\` service seems to be running at \`${url}\`. To see the response, open the call under “Requests”.`)],
    };
  }
  const problem = call.problem;
  if (!problem) return { tone: succeeded(call) ? "good" : "bad", title: [title], lines: [] };
  const wait = call.answer.get("Retry-After");
  const faults = problem.errors.filter((fault) => !problem.detail.includes(fault.message));
  const next = [wait ? `Try again in ${wait} s.` : "", NEXT_STEPS[problem.code] ?? problem.hint ?? ""].filter(Boolean).join(" ");
  return {
    tone: "bad",
    title: [`${title} · ${problem.code}`],
    lines: [
      [problem.detail],
      ...faults.map((fault) => [`${fault.pointer ?? fault.parameter ?? fault.header}: ${fault.message}`]),
      ...(next ? [[next]] : []),
    ],
  };
}

/** Show in a live region how a call ended. Without a call, empty the region. */
export function report(region, call) {
  unanswered.delete(region);
  if (!call) {
    region.replaceChildren();
    return;
  }
  if (!call.answered) unanswered.set(region, { service: call.service, at: performance.now() });
  const { tone, title, lines } = describe(call);
  region.replaceChildren(message(tone, title, ...lines));
}

/** Confirm in a live region that something was done. */
export function confirm(region, text) {
  unanswered.delete(region);
  region.replaceChildren(message("good", [text]));
}

/**
 * Create a message.
 *
 * @param {"good" | "bad" | "warn"} tone
 * @param {(Node | string)[]} title
 * @param {...(Node | string)[]} lines
 */
export function message(tone, title, ...lines) {
  return element(
    "div",
    { class: `message ${tone}` },
    element("p", {}, element("b", {}, ...title)),
    ...lines.map((line) => element("p", {}, ...line)),
  );
}
