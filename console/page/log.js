/** Every call as what it was: newest first, and each as a curl line. */

import { listen } from "./api.js";
import { SECRETS, curl, variables } from "./curl.js";
import { byId, copyButton, h, say } from "./dom.js";
import { ending } from "./outcome.js";
import { onSession } from "./session.js";
import { shortened } from "./token.js";

const LIMIT = 50;
const MASK = "••••••••";
const TOKENS = ["access_token", "refresh_token"];

export function setUpLog() {
  const list = byId("calls");
  let count = 0;
  let calls = [];
  listen(null, (call) => {
    list.prepend(entry(call));
    calls = [call, ...calls].slice(0, LIMIT);
    // the newest is to be seen, unless somebody reads an older one
    if (!list.querySelector("details[open]")) byId("log").scrollTop = 0;
    while (list.children.length > LIMIT) list.lastElementChild.remove();
    count += 1;
    say(byId("calls-count"), count > LIMIT ? `the last ${LIMIT} of ${count}` : `${count}`);
  });
  onSession((now) => {
    if (now) return;
    calls.forEach(forget);
    list.replaceChildren(...calls.map(entry));
  });
}

/** Whoever sits down here next finds no token and no password of whom was signed in. */
function forget(call) {
  call.headers = call.headers.map(([name, value]) => [name, name === "Authorization" ? `Bearer ${MASK}` : value]);
  for (const part of [call.json, call.data]) {
    for (const name of [...TOKENS, ...Object.keys(SECRETS)]) if (isObject(part) && name in part) part[name] = MASK;
  }
}

const isObject = (value) => typeof value === "object" && value !== null;

function entry(call) {
  const status = call.answered ? `${call.status}` : "no answer";
  const details = h(
    "details",
    {},
    h(
      "summary",
      {},
      h("span", { class: `badge ${ending(call)}` }, status),
      h("span", { class: "call-line" }, h("b", {}, call.method), " ", call.path),
      h("span", { class: "call-meta" }, `${call.service} · ${call.ms} ms`),
      call.problem?.code ? h("span", { class: "call-code" }, call.problem.code) : null,
    ),
  );
  // made when it is opened: fifty closed ones would cost fifty times as much
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(inside(call));
  });
  return h("li", { class: "call", "data-service": call.service, "data-status": status }, details);
}

function inside(call) {
  const request = h("pre");
  const answer = h("pre");
  const line = h("pre", { class: "curl" });
  const note = h("p", { class: "note" });
  let whole = false;

  function draw() {
    say(request, requestText(call, whole));
    say(answer, call.answered ? answerText(call, whole) : "Nothing came back.");
    say(line, curl(call, whole));
    const needed = variables(call, whole).map((name) => `$${name}`).join(" and ");
    say(note, needed && `Set ${needed} in the shell first: what is secret is not written out.`);
  }

  const toggle = h("button", { type: "button", class: "quiet small" }, "Show tokens whole");
  toggle.addEventListener("click", () => {
    whole = !whole;
    say(toggle, whole ? "Shorten the tokens" : "Show tokens whole");
    draw();
  });
  draw();
  return h(
    "div",
    { class: "call-inside" },
    h("h3", {}, "Request"),
    request,
    h("h3", {}, "Answer"),
    answer,
    hasTokens(call) ? toggle : null,
    h("h3", {}, "As a curl line"),
    line,
    copyButton("Copy the curl line", () => line.textContent),
    note,
  );
}

function hasTokens(call) {
  return call.headers.some(([name]) => name === "Authorization") || (isObject(call.data) && TOKENS.some((name) => name in call.data));
}

function requestText(call, whole) {
  const lines = [`${call.method} ${call.path} HTTP/1.1`, `Host: ${new URL(call.url).host}`];
  for (const [name, value] of call.headers) {
    const shown = name === "Authorization" && !whole ? `Bearer ${shortened(value.slice("Bearer ".length))}` : value;
    lines.push(`${name}: ${shown}`);
  }
  if (call.json !== undefined) {
    lines.push("", JSON.stringify(call.json, (name, value) => (name in SECRETS ? MASK : value), 2));
  }
  return lines.join("\n");
}

function answerText(call, whole) {
  const lines = [`HTTP/1.1 ${call.status} ${call.reason}`, ...[...call.answer].map(([name, value]) => `${name}: ${value}`)];
  if (call.data !== null && call.data !== undefined) {
    lines.push("", JSON.stringify(call.data, (name, value) => (TOKENS.includes(name) && !whole ? shortened(String(value)) : value), 2));
  }
  return lines.join("\n");
}
