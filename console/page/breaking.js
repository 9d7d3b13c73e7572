/** Step 4: make a broken token, send it to the real posts service, and see which check stops it. */

import { call } from "./api.js";
import { checkList, verdict } from "./checks.js";
import { byId, h, say, show } from "./dom.js";
import { GROUPS, adminPayload, differences } from "./forge.js";
import { fine, outcome } from "./outcome.js";
import { accessToken, onSession, session } from "./session.js";
import { PARTS, shortened } from "./token.js";

/** Characters of a segment that are shown; more would push the answer off the screen. */
const SHOWN = 400;

/** @param {{name: string, about: string, token: string}[] | null} gallery */
export function setUpBreaking(gallery) {
  const editor = byId("payload");
  const text = byId("forged-text");
  const answer = byId("forged-answer");
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
    answer.replaceChildren();
    if (kind.editable) editor.value = adminPayload(accessToken());
    await make();
  }

  async function make() {
    const number = ++made;
    const unavailable = chosen.id === "own-key" && !globalThis.crypto?.subtle;
    send.disabled = unavailable;
    if (unavailable) {
      say(text, "The browser offers WebCrypto to secure contexts only: open this page by https://, or at http://127.0.0.1 or http://localhost.");
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
      else part.append(segment.slice(0, from), h("mark", {}, clipped(segment.slice(from, to))), segment.slice(to));
      return [...(index ? [h("span", { class: "dot" }, ".")] : []), part];
    });
    text.replaceChildren(...pieces);
    const segments = forged.split(".").length;
    const lacking = chosen.gallery ? 0 : 3 - segments;
    const gone = lacking > 0 ? "no signature" : forged.endsWith(".") ? "the signature is empty" : "";
    const marked = text.querySelector("mark") ? "marked where it differs" : "";
    say(byId("forged-facts"), [`${forged.length} bytes`, `${segments} segments`, gone, marked].filter(Boolean).join(" · "));
  }

  const clipped = (piece) =>
    piece.length > SHOWN ? `${piece.slice(0, SHOWN / 2)} … ${piece.length - SHOWN} more … ${piece.slice(-SHOWN / 2)}` : piece;

  editor.addEventListener("input", () => {
    answer.replaceChildren();
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
    answer.replaceChildren(...shown(answered, token));
    // what was asked for must be seen: all of it where the window is high enough, else its beginning
    const fits = answer.offsetHeight < innerHeight;
    (fits ? answer : answer.firstElementChild).scrollIntoView({ block: fits ? "nearest" : "start" });
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

/** The answer to a forged token. */
function shown(answered, token) {
  const { title, lines } = outcome(answered);
  if (!answered.answered) return [h("div", { class: "message bad" }, h("h3", {}, title), ...lines.map((line) => h("p", {}, line)))];
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
    ? `Refused at check ${decision.failed} of 13`
    : decision.accepted
      ? "Accepted: all thirteen checks passed"
      : "The answer says nothing about the checks";
  return [
    h(
      "div",
      { class: `verdict ${refused ? "bad" : fine(answered) ? "good" : "warn"}` },
      h("p", { class: "status" }, `${answered.status} ${answered.reason}`),
      h("h3", {}, verdictText),
    ),
    h(
      "div",
      { class: "answer-columns" },
      h("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [h("dt", {}, name), h("dd", { "data-fact": name }, value)])),
      h("div", {}, h("h4", {}, "The thirteen checks of posts"), checkList(decision)),
    ),
  ];
}

