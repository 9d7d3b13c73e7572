/** Step 4: make a broken token, send it to the real posts service, and see which check stops it. */

import { call } from "./api.js";
import { CHECKS, checkList, verdict } from "./checks.js";
import { members, plain } from "./decoded.js";
import { byId, h, say, show } from "./dom.js";
import { GROUPS, adminPayload, differences } from "./forge.js";
import { fine, outcome } from "./outcome.js";
import { accessToken, onSession, session } from "./session.js";
import { PARTS, shortened } from "./token.js";

/** Characters of a segment that are shown; more would push the answer off the screen. */
const SHOWN = 200;
/** The same of a member of header or payload. */
const MEMBER_SHOWN = 160;

/** @param {{name: string, about: string, token: string}[] | null} gallery */
export function setUpBreaking(gallery) {
  const editor = byId("payload");
  const text = byId("forged-text");
  const answer = byId("forged-answer");
  const details = byId("forged-details");
  const send = byId("send");
  let chosen = null;
  let made = 0;
  let forged = "";

  function option(kind) {
    const input = h("input", { type: "radio", name: "kind", value: kind.id, change: () => choose(kind) });
    return h("label", { class: "kind" }, input, h("span", {}, kind.name));
  }

  const groups = [...GROUPS];
  if (gallery?.length) {
    const kinds = gallery.map(({ name, about, token }, index) => ({ id: `gallery-${index}`, name, about, make: () => token, gallery: true }));
    groups.splice(3, 0, { title: "Signed with the real key", kinds });
  }
  byId("kinds").append(
    ...groups.map(({ title, kinds }) => h("fieldset", {}, h("legend", {}, title), ...kinds.map(option))),
  );
  show(byId("no-gallery"), !gallery?.length);

  async function choose(kind) {
    chosen = kind;
    say(byId("kind-about"), kind.about);
    show(byId("editor"), Boolean(kind.editable));
    forget();
    if (kind.editable) editor.value = adminPayload(accessToken());
    await make();
  }

  function forget() {
    answer.replaceChildren();
    details.replaceChildren();
  }

  async function make() {
    const number = ++made;
    const unavailable = chosen.id === "own-key" && !globalThis.crypto?.subtle;
    send.disabled = unavailable;
    if (unavailable) {
      say(text, "The browser offers WebCrypto to secure contexts only: open this page by https://, or at http://127.0.0.1 or http://localhost.");
      byId("forged-decoded").replaceChildren();
      ["forged-facts", "forged-note"].forEach((id) => say(byId(id), ""));
      return;
    }
    const token = await chosen.make(accessToken(), editor.value);
    if (number !== made) return; // another was chosen meanwhile
    forged = token;
    draw();
  }

  function draw() {
    // a token of the gallery is no changed one: there is nothing to compare it with
    const compared = chosen.gallery ? forged : accessToken();
    const pieces = differences(forged, compared).flatMap(({ text: segment, from, to }, index) => {
      const part = h("span", { class: PARTS[index] ?? "header" });
      if (from === to) part.append(segment);
      else part.append(segment.slice(0, from), h("mark", {}, clipped(segment.slice(from, to), SHOWN)), segment.slice(to));
      return [...(index ? [h("span", { class: "dot" }, ".")] : []), part];
    });
    text.replaceChildren(...pieces);
    const segments = forged.split(".").length;
    const lacking = chosen.gallery ? 0 : 3 - segments;
    const gone = lacking > 0 ? "no signature" : forged.endsWith(".") ? "the signature is empty" : "";
    const marked = text.querySelector("mark") ? "marked where it differs" : "";
    byId("forged-decoded").replaceChildren(...decoded(forged, accessToken(), chosen));
    say(byId("forged-note"), remark(forged, chosen));
    say(byId("forged-facts"), [`${forged.length} bytes`, `${segments} segments`, gone, marked].filter(Boolean).join(" · "));
  }

  editor.addEventListener("input", () => {
    forget();
    make();
  });
  byId("reset").addEventListener("click", () => choose(chosen));

  byId("forge").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (send.disabled || send.getAttribute("aria-disabled") === "true") return;
    const [kind, token] = [chosen, forged];
    send.setAttribute("aria-disabled", "true");
    const answered = await call("posts", "GET", "/posts?limit=1", { token });
    send.removeAttribute("aria-disabled");
    if (kind !== chosen || token !== forged) return;
    const { head, rest } = shown(answered, token);
    answer.replaceChildren(...head);
    details.replaceChildren(...rest);
    // no further than needed: choice, token and verdict are to be seen together
    const [choice, verdictBox] = [byId("kinds").querySelector(".kind:has(:checked)"), answer.firstElementChild];
    const [top, bottom] = [choice.getBoundingClientRect().top, verdictBox.getBoundingClientRect().bottom];
    if (Math.abs(bottom - top) < innerHeight - 40) choice.scrollIntoView({ block: "nearest" });
    verdictBox.scrollIntoView({ block: "nearest" });
  });

  onSession((now) => {
    show(byId("break-empty"), !now);
    show(byId("break-shown"), Boolean(now));
    if (!now) return;
    const input = document.querySelector("input[name=kind]:checked") ?? document.querySelector("input[name=kind]");
    input.checked = true;
    choose(groups.flatMap(({ kinds }) => kinds).find(({ id }) => id === input.value));
  });
}

/** The middle left out, where it is longer than that. */
function clipped(text, most) {
  return text.length > most ? `${text.slice(0, most / 2)} … ${text.length - most} more … ${text.slice(-most / 2)}` : text;
}

/** What one might not see in a token that is about to be sent. */
function remark(token, kind) {
  if (token === accessToken()) return "This is your own token, unchanged.";
  if (kind.gallery) {
    const { name } = session().claims;
    const theirs = members(token.split(".")[1], accessToken().split(".")[1], true)?.find((member) => member.name === "name")?.value;
    return theirs === undefined || theirs === name ? "" : `Issued to “${theirs}”, not to you.`;
  }
  if (kind.editable) {
    try {
      JSON.parse(plain(token.split(".")[1]));
    } catch {
      return "Not JSON: it is sent all the same.";
    }
  }
  return "";
}

/** Header, payload and signature of what is sent, with what differs from one's own token marked. */
function decoded(token, own, kind) {
  const [sent, good] = [token.split("."), own.split(".")];
  const blocks = ["header", "payload"].map((part, index) => {
    const found = members(sent[index], good[index], Boolean(kind.gallery));
    const lines = found ? found.map(memberLine) : [h("li", {}, h("mark", {}, clipped(plain(sent[index]), SHOWN)))];
    return h("div", { class: `part ${part}-part` }, h("h4", {}, part === "header" ? "Header" : "Payload"), h("ul", { class: "members" }, ...lines));
  });
  return [...blocks, h("p", { class: "part signature-part" }, h("b", {}, "Signature"), " ", signatureWords(sent, good, kind))];
}

function memberLine({ text, name, value, differs, missing }) {
  const shownText = clipped(text, MEMBER_SHOWN);
  if (missing) return h("li", {}, h("mark", {}, `no ${name}`));
  if (!differs) return h("li", {}, shownText);
  const date = ["iat", "nbf", "exp"].includes(name) && typeof value === "number" ? ` ${new Date(value * 1000).getFullYear()}` : "";
  return h("li", {}, h("mark", {}, shownText), date ? h("span", { class: "words" }, date) : null);
}

function signatureWords(sent, good, kind) {
  if (kind.gallery) return "made with the real key, and right.";
  if (sent[2] === undefined) return h("mark", {}, "not there.");
  if (sent[2] === "") return h("mark", {}, "empty.");
  if (sent[2] !== good[2]) return h("mark", {}, "not the one of your token.");
  return sent[0] === good[0] && sent[1] === good[1]
    ? "that of your token."
    : "still that of your token: made over what stood there before.";
}

/** The answer to a forged token: what became of it, and the rest. */
function shown(answered, token) {
  const { title, lines } = outcome(answered);
  if (!answered.answered) return { head: [h("div", { class: "message bad" }, h("h3", {}, title), ...lines.map((line) => h("p", {}, line)))], rest: [] };
  const decision = verdict(answered);
  const refused = decision.failed !== null;
  const problem = answered.problem;
  const facts = [
    ["Request", `GET /posts?limit=1`],
    ["Authorization", `Bearer ${shortened(token)}`],
    ...(problem ? [["code", problem.code], ["detail", problem.detail]] : []),
    ...(problem?.hint ? [["hint", problem.hint]] : []),
    ...(answered.answer.has("WWW-Authenticate") ? [["WWW-Authenticate", answered.answer.get("WWW-Authenticate")]] : []),
    ["posts’ Postgres", answered.database ? "asked" : "not asked"],
  ];
  const verdictText = refused
    ? `Refused at check ${decision.failed} of 13: ${CHECKS[decision.failed - 1][2]}`
    : decision.accepted
      ? "Accepted: all thirteen checks passed"
      : "The answer says nothing about the checks";
  const head = h(
    "div",
    { class: `verdict ${refused ? "bad" : fine(answered) ? "good" : "warn"}` },
    h("p", { class: "status" }, `${answered.status} ${answered.reason}`),
    h("h3", {}, verdictText),
  );
  const rest = h(
    "div",
    { class: "answer-columns" },
    h("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", { "data-fact": name }, value)])),
    h("div", {}, h("h4", {}, "The thirteen checks of posts"), checkList(decision)),
  );
  return { head: [head], rest: [rest] };
}
