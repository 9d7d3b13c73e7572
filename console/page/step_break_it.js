/** Step 4: forge a token, send it to the real posts service, and show which check refuses it. */

import { call } from "./api.js";
import { checkList, checks, verdict } from "./checks.js";
import { byId, element, setProse, setText, setVisible } from "./dom.js";
import { GROUPS, moderatorPayload } from "./forgeries.js";
import { PARTS, shorten } from "./jwt.js";
import { describe, succeeded } from "./messages.js";
import { accessToken, onSession, session } from "./session.js";
import { changedRanges, compareMembers, decodeOrEmpty } from "./token_diff.js";

/** The most characters shown of a changed range, so that a huge token doesn't push the response off the screen. */
const MAX_SHOWN = 200;
/** The same for a member of header or payload. */
const MAX_MEMBER_SHOWN = 160;

/** @param {{name: string, about: string, token: string}[] | null} gallery  forgeries signed with the real key */
export function setUpBreakIt(gallery) {
  const editor = byId("payload");
  const text = byId("forged-text");
  const answer = byId("forged-answer");
  const details = byId("forged-details");
  const send = byId("send");
  let chosen = null;
  let latest = 0;
  let forged = "";

  function option(kind) {
    const input = element("input", { type: "radio", name: "kind", value: kind.id, change: () => choose(kind) });
    return element("label", { class: "kind" }, input, element("span", {}, kind.name));
  }

  const groups = [...GROUPS];
  if (gallery?.length) {
    const kinds = gallery.map(({ name, about, token }, index) => ({ id: `gallery-${index}`, name, about, make: () => token, gallery: true }));
    groups.splice(3, 0, { title: "Signed with the real key", kinds });
  }
  byId("kinds").append(
    ...groups.map(({ title, kinds }) => element("fieldset", {}, element("legend", {}, title), ...kinds.map(option))),
  );
  setVisible(byId("no-gallery"), !gallery?.length);

  async function choose(kind) {
    chosen = kind;
    setProse(byId("kind-about"), kind.about);
    setVisible(byId("editor"), Boolean(kind.editable));
    clearResponse();
    if (kind.editable) editor.value = moderatorPayload(accessToken());
    await make();
  }

  function clearResponse() {
    answer.replaceChildren();
    details.replaceChildren();
  }

  async function make() {
    const number = ++latest;
    const unavailable = chosen.id === "own-key" && !globalThis.crypto?.subtle;
    send.disabled = unavailable;
    if (unavailable) {
      setProse(
        text,
        "Your browser can make keys only in secure contexts. Open this page over https or, on this computer, at `http://127.0.0.1` or `http://localhost`.",
      );
      byId("forged-decoded").replaceChildren();
      ["forged-facts", "forged-note"].forEach((id) => setText(byId(id), ""));
      return;
    }
    const token = await chosen.make(accessToken(), editor.value);
    if (number !== latest) return; // the user has chosen or typed something else since
    forged = token;
    draw();
  }

  function draw() {
    // a token of the gallery isn't made from the user's own, so a comparison of their text means nothing
    const compared = chosen.gallery ? forged : accessToken();
    const pieces = changedRanges(forged, compared).flatMap(({ text: segment, from, to }, index) => {
      const part = element("span", { class: PARTS[index] ?? "header" });
      if (from === to) part.append(segment);
      else part.append(segment.slice(0, from), element("mark", {}, shortenMiddle(segment.slice(from, to), MAX_SHOWN)), segment.slice(to));
      return [...(index ? [element("span", { class: "dot" }, ".")] : []), part];
    });
    text.replaceChildren(...pieces);
    const segments = forged.split(".").length;
    const missing = chosen.gallery ? 0 : PARTS.length - segments;
    const signature = missing > 0 ? "no signature" : forged.endsWith(".") ? "empty signature" : "";
    const changes = text.querySelector("mark") ? "changes highlighted" : "";
    byId("forged-decoded").replaceChildren(...decodedParts(forged, accessToken(), chosen));
    setText(byId("forged-note"), noteOn(forged, chosen));
    setText(byId("forged-facts"), [`${forged.length} bytes`, `${segments} segments`, signature, changes].filter(Boolean).join(" · "));
  }

  editor.addEventListener("input", () => {
    clearResponse();
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
    const { head, rest } = response(answered, token);
    answer.replaceChildren(...head);
    details.replaceChildren(...rest);
    // scroll no further than needed to show the choice, the token and the verdict together
    const [choice, verdictBox] = [byId("kinds").querySelector(".kind:has(:checked)"), answer.firstElementChild];
    const [top, bottom] = [choice.getBoundingClientRect().top, verdictBox.getBoundingClientRect().bottom];
    if (Math.abs(bottom - top) < innerHeight - 40) choice.scrollIntoView({ block: "nearest" });
    verdictBox.scrollIntoView({ block: "nearest" });
  });

  onSession((now) => {
    setVisible(byId("break-empty"), !now);
    setVisible(byId("break-shown"), Boolean(now));
    if (!now) {
      clearResponse();
      latest += 1; // a token that is being made is not shown anymore
      forged = "";
      editor.value = "";
      ["forged-text", "forged-decoded", "forged-facts", "forged-note"].forEach((id) => byId(id).replaceChildren());
      return;
    }
    const input = document.querySelector("input[name=kind]:checked") ?? document.querySelector("input[name=kind]");
    input.checked = true;
    choose(groups.flatMap(({ kinds }) => kinds).find(({ id }) => id === input.value));
  });
}

/** Leave out the middle of a text that is longer than `most` characters. */
function shortenMiddle(text, most) {
  return text.length > most ? `${text.slice(0, most / 2)} … ${text.length - most} more characters … ${text.slice(-most / 2)}` : text;
}

/** Return a note on the token to be sent if it isn't what the user may expect, else an empty string. */
function noteOn(token, kind) {
  if (token === accessToken()) return "This is your own token, unchanged.";
  if (kind.gallery) {
    const { name } = session().claims;
    const members = compareMembers(token.split(".")[1], accessToken().split(".")[1], true);
    const issuedTo = members?.find((member) => member.name === "name")?.value;
    return issuedTo === undefined || issuedTo === name ? "" : `Issued to “${issuedTo}”, not to you.`;
  }
  if (kind.editable) {
    try {
      JSON.parse(decodeOrEmpty(token.split(".")[1]));
    } catch {
      return "This isn’t valid JSON. You can send it anyway.";
    }
  }
  return "";
}

/** Show the parts of the token to be sent, with what differs from the user's own token marked. */
function decodedParts(token, own, kind) {
  const [sent, good] = [token.split("."), own.split(".")];
  const blocks = ["header", "payload"].map((part, index) => {
    const members = compareMembers(sent[index], good[index], Boolean(kind.gallery));
    const lines = members
      ? members.map(memberLine)
      : [element("li", {}, element("mark", {}, shortenMiddle(decodeOrEmpty(sent[index]), MAX_SHOWN)))];
    return element(
      "div",
      { class: `part ${part}-part` },
      element("h4", {}, part === "header" ? "Header" : "Payload"),
      element("ul", { class: "members" }, ...lines),
    );
  });
  return [...blocks, element("p", { class: "part signature-part" }, element("b", {}, "Signature:"), " ", signatureNote(sent, good, kind))];
}

function memberLine({ text, name, value, differs, missing }) {
  const shown = shortenMiddle(text, MAX_MEMBER_SHOWN);
  if (missing) return element("li", {}, element("mark", {}, `${name} is missing`));
  if (!differs) return element("li", {}, shown);
  const year = ["iat", "nbf", "exp"].includes(name) && typeof value === "number" ? ` ${new Date(value * 1000).getFullYear()}` : "";
  return element("li", {}, element("mark", {}, shown), year ? element("span", { class: "words" }, year) : null);
}

function signatureNote(sent, good, kind) {
  if (kind.gallery) return "valid, made with the real key";
  if (sent[2] === undefined) return element("mark", {}, "missing");
  if (sent[2] === "") return element("mark", {}, "empty");
  if (sent[2] !== good[2]) return element("mark", {}, "different from your token’s");
  return sent[0] === good[0] && sent[1] === good[1]
    ? "same as your token’s"
    : "same as your token’s, so it doesn’t match the changed text";
}

/** Show the response to a forged token: the verdict in `head`, the details in `rest`. */
function response(answered, token) {
  if (!answered.answered) {
    const { title, lines } = describe(answered);
    return {
      head: [element("div", { class: "message bad" }, element("h3", {}, ...title), ...lines.map((line) => element("p", {}, ...line)))],
      rest: [],
    };
  }
  const decision = verdict(answered);
  const refused = decision.failed !== null;
  const problem = answered.problem;
  const facts = [
    ["Request", "GET /posts?limit=1"],
    ["Authorization", `Bearer ${shorten(token)}`],
    ...(problem ? [["code", problem.code], ["detail", problem.detail]] : []),
    ...(problem?.hint ? [["hint", problem.hint]] : []),
    ...(answered.answer.has("WWW-Authenticate") ? [["WWW-Authenticate", answered.answer.get("WWW-Authenticate")]] : []),
    ["Database", answered.database ? "queried" : "not queried"],
  ];
  const verdictText = refused
    ? `Refused at check ${decision.failed} of ${checks.length}: ${checks.find(({ number }) => number === decision.failed).name}`
    : decision.accepted
      ? `Accepted: all ${checks.length} checks passed`
      : "The response doesn’t say which checks ran";
  const head = element(
    "div",
    { class: `verdict ${refused ? "bad" : succeeded(answered) ? "good" : "warn"}` },
    element("p", { class: "status" }, `${answered.status} ${answered.reason}`),
    element("h3", {}, verdictText),
  );
  const rest = element(
    "div",
    { class: "answer-columns" },
    element("dl", { class: "facts" }, ...facts.flatMap(([name, value]) => [element("dt", {}, name), element("dd", { "data-fact": name }, value)])),
    element("div", {}, element("h4", {}, `The ${checks.length} checks, in order`), checkList(decision)),
  );
  return { head: [head], rest: [rest] };
}
