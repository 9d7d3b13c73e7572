/** Step 2: the token in its three parts, what each says and is for, and how long it lives. */

import { call } from "./api.js";
import { byId, copyButton, h, say, show } from "./dom.js";
import { CLAIMS, HEADER, SIGNATURE, inWords } from "./explain.js";
import { confirm, outcome, report } from "./outcome.js";
import { accessToken, onSession, refresh, session, timeLeft } from "./session.js";
import { PARTS } from "./token.js";

/** Seconds by which posts' clock may differ from auth's, so it takes a token that much longer (JWT_LEEWAY). */
const LEEWAY = 10;
/** When posts is first asked, in seconds after exp: as soon as it must refuse. */
const FIRST = LEEWAY + 0.5;
/** Its longest leeway; a token that is taken after that is no longer waited for. */
const LONGEST_LEEWAY = 60;

const POINT = "Point at a line, tap it, or reach it by Tab, to read what it is for.";

/** A token as text in three colours; the dots belong to nobody. */
function coloured(token) {
  return token
    .split(".")
    .flatMap((text, index) => [...(index ? [h("span", { class: "dot" }, ".")] : []), h("span", { class: PARTS[index] }, text)]);
}

export function setUpAnatomy() {
  const explanation = byId("explanation");

  function explained(text, ...content) {
    const tell = () => say(explanation, text);
    return h(
      "button",
      { type: "button", class: "line", "aria-describedby": "explanation", mouseenter: tell, focus: tell, click: tell },
      ...content,
    );
  }

  function part(name, title, lines) {
    return h("div", { class: `part ${name}-part` }, h("h3", {}, title), ...lines);
  }

  function lines(object, texts, kind) {
    return Object.entries(object).map(([name, value]) => {
      const words = inWords(name, value);
      return explained(
        texts[name] ?? `Not one of the usual ${kind}.`,
        h("span", { class: "key" }, name),
        h("span", { class: "value" }, JSON.stringify(value), words ? h("span", { class: "words" }, ` ${words}`) : null),
      );
    });
  }

  function draw({ access, header, claims }) {
    byId("token-text").replaceChildren(...coloured(access));
    byId("token-copy").replaceChildren(copyButton("Copy the token", accessToken));
    byId("decoded").replaceChildren(
      part("header", "Header", lines(header, HEADER, "header members")),
      part("payload", "Payload", lines(claims, CLAIMS, "claims")),
      part("signature", "Signature", [
        explained(SIGNATURE, h("span", { class: "value" }, "HMAC-SHA-256 of the first two parts, 32 bytes")),
      ]),
    );
    say(explanation, POINT);
  }

  onSession((now) => {
    show(byId("token-empty"), !now);
    show(byId("token-shown"), Boolean(now));
    if (now) draw(now);
  });

  const answer = byId("refresh-answer");
  const button = byId("refresh");
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    const answered = await refresh();
    button.removeAttribute("aria-disabled");
    if (answered.status === 200) {
      confirm(answer, "Two new tokens: the access token shown here, and a refresh token that works once.");
    } else {
      report(session() ? answer : byId("account-answer"), answered);
      if (!session()) byId("email").focus();
    }
  });

  setUpExpiry(answer);
}

/** Count down, and once the token can't be taken any more, ask posts and show what it says. */
function setUpExpiry(answer) {
  const countdown = byId("countdown");
  const bar = byId("countdown-bar");
  const state = byId("expiry");
  /** When posts is asked next, in seconds after exp; null: not again. */
  let ask = null;

  async function askPosts() {
    const token = accessToken();
    const answered = await call("posts", "GET", "/posts?limit=1", { token });
    if (accessToken() !== token) return;
    if (answered.problem?.code === "token_expired") {
      const { title, lines } = outcome(answered);
      state.replaceChildren(
        h(
          "div",
          { class: "message bad" },
          h("p", {}, h("b", {}, `GET /posts → ${title}`)),
          h("p", {}, `${lines[0]}. It got as far as check ${answered.problem.check}. Refresh makes a new one, without a password.`),
        ),
      );
      return;
    }
    // the leeway may be set higher, and a service that is down says nothing of the token
    ask = -timeLeft() / 1000 < LONGEST_LEEWAY + LEEWAY ? -timeLeft() / 1000 + LEEWAY : null;
  }

  function tick() {
    if (!session()) return;
    const left = timeLeft() / 1000;
    const { iat, exp } = session().claims;
    bar.max = exp - iat;
    bar.value = Math.max(0, left);
    countdown.classList.toggle("over", left <= 0);
    if (left > 0) {
      const seconds = Math.ceil(left);
      say(countdown, `expires in ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`);
      return;
    }
    say(countdown, `expired ${Math.floor(-left)} s ago`);
    if (ask === null) return;
    if (-left > ask) {
      ask = null;
      say(state, "");
      askPosts();
    } else if (ask === FIRST) {
      say(state, `By its own clock it has expired. posts takes it up to ${LEEWAY} s longer, because two machines’ clocks may differ; then this page asks.`);
    }
  }

  onSession((now) => {
    ask = now ? FIRST : null;
    state.replaceChildren();
    report(answer, null);
    tick();
  });
  setInterval(tick, 250);
}
