/** The list of requests: the newest first, each with its response and as a curl command. */

import { onCall } from "./api.js";
import { SECRETS, curl, variables } from "./curl.js";
import { byId, copyButton, element, setText } from "./dom.js";
import { shorten } from "./jwt.js";
import { ending } from "./messages.js";
import { onSession } from "./session.js";

const LIMIT = 50;
const MASK = "••••••••";
const TOKENS = ["access_token", "account_token", "refresh_token"];

export function setUpRequestLog() {
  const list = byId("calls");
  let count = 0;
  let calls = [];
  onCall(null, (call) => {
    list.prepend(entry(call));
    calls = [call, ...calls].slice(0, LIMIT);
    // show the newest, unless the user has opened one to read
    if (!list.querySelector("details[open]")) byId("log").scrollTop = 0;
    while (list.children.length > LIMIT) list.lastElementChild.remove();
    count += 1;
    setText(byId("calls-count"), count > LIMIT ? `the last ${LIMIT} of ${count}` : `${count}`);
  });
  onSession((now) => {
    if (now) return;
    calls.forEach(maskSecrets);
    list.replaceChildren(...calls.map(entry));
  });
}

/** Mask the tokens and passwords in a call, so that the next person at this computer can't read them. */
function maskSecrets(call) {
  call.headers = call.headers.map(([name, value]) => [name, name === "Authorization" ? `Bearer ${MASK}` : value]);
  for (const part of [call.json, call.data]) {
    for (const name of [...TOKENS, ...Object.keys(SECRETS)]) if (isObject(part) && name in part) part[name] = MASK;
  }
}

const isObject = (value) => typeof value === "object" && value !== null;

function entry(call) {
  const status = call.answered ? `${call.status}` : "no response";
  const details = element(
    "details",
    {},
    element(
      "summary",
      {},
      element("span", { class: `badge ${ending(call)}` }, status),
      element("span", { class: "call-line" }, element("b", {}, call.method), " ", call.path),
      element("span", { class: "call-meta" }, `${call.service} · ${call.ms} ms`),
      call.problem?.code ? element("span", { class: "call-code" }, call.problem.code) : null,
    ),
  );
  // fill an entry only when it is opened: with fifty entries, filling all of them is slow
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(content(call));
  });
  return element("li", { class: "call", "data-service": call.service, "data-status": status }, details);
}

function content(call) {
  const request = element("pre");
  const response = element("pre");
  const command = element("pre", { class: "curl" });
  const note = element("p", { class: "note" });
  let full = false;

  function draw() {
    setText(request, requestText(call, full));
    setText(response, call.answered ? responseText(call, full) : "No response.");
    setText(command, curl(call, full));
    const needed = variables(call, full).map((name) => `$${name}`).join(" and ");
    setText(note, needed && `Set ${needed} in your shell first. The command leaves secrets out.`);
  }

  const toggle = element("button", { type: "button", class: "quiet small" }, "Show full tokens");
  toggle.addEventListener("click", () => {
    full = !full;
    setText(toggle, full ? "Shorten tokens" : "Show full tokens");
    draw();
  });
  draw();
  return element(
    "div",
    { class: "call-inside" },
    element("h3", {}, "Request"),
    request,
    element("h3", {}, "Response"),
    response,
    hasTokens(call) ? toggle : null,
    element("h3", {}, "curl command"),
    command,
    copyButton("Copy curl command", () => command.textContent),
    note,
  );
}

function hasTokens(call) {
  return call.headers.some(([name]) => name === "Authorization") || (isObject(call.data) && TOKENS.some((name) => name in call.data));
}

function requestText(call, full) {
  const lines = [`${call.method} ${call.path} HTTP/1.1`, `Host: ${new URL(call.url).host}`];
  for (const [name, value] of call.headers) {
    const shown = name === "Authorization" && !full ? `Bearer ${shorten(value.slice("Bearer ".length))}` : value;
    lines.push(`${name}: ${shown}`);
  }
  if (call.json !== undefined) {
    lines.push("", JSON.stringify(call.json, (name, value) => (name in SECRETS ? MASK : value), 2));
  }
  return lines.join("\n");
}

function responseText(call, full) {
  const lines = [`HTTP/1.1 ${call.status} ${call.reason}`, ...[...call.answer].map(([name, value]) => `${name}: ${value}`)];
  if (call.data !== null && call.data !== undefined) {
    lines.push("", JSON.stringify(call.data, (name, value) => (TOKENS.includes(name) && !full ? shorten(String(value)) : value), 2));
  }
  return lines.join("\n");
}
