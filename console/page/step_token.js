/** Step 2: show the token in its three parts, what each claim means, and how long the token lasts. */

import { call } from "./api.js";
import { checks } from "./checks.js";
import { byId, copyButton, element, setProse, setText, setVisible } from "./dom.js";
import { CLAIMS, HEADER, SIGNATURE, timeOfDay } from "./explanations.js";
import { PARTS } from "./jwt.js";
import { confirm, describe, message, report } from "./messages.js";
import { accessToken, onSession, refresh, session, timeLeft } from "./session.js";

/** Seconds for which posts accepts an expired token, because its clock and auth's may differ (JWT_LEEWAY). */
const LEEWAY = 10;
/** Seconds after exp at which the page first asks posts: by then posts must refuse the token. */
const FIRST_REQUEST = LEEWAY + 0.5;
/** The longest leeway that posts can be set to. If the token is still accepted after that, the page stops asking. */
const LONGEST_LEEWAY = 60;

const NO_LINE_SELECTED = "Select a line to see what it means.";

/** Split a token into its three coloured parts and the dots between them. */
function colouredParts(token) {
  return token
    .split(".")
    .flatMap((text, index) => [...(index ? [element("span", { class: "dot" }, ".")] : []), element("span", { class: PARTS[index] }, text)]);
}

export function setUpToken() {
  const explanation = byId("explanation");

  function explainedLine(text, ...content) {
    const explain = () => setProse(explanation, text);
    return element(
      "button",
      { type: "button", class: "line", "aria-describedby": "explanation", mouseenter: explain, focus: explain, click: explain },
      ...content,
    );
  }

  function part(name, title, lines) {
    return element("div", { class: `part ${name}-part` }, element("h3", {}, title), ...lines);
  }

  function lines(object, texts, kind) {
    return Object.entries(object).map(([name, value]) => {
      const time = timeOfDay(name, value);
      return explainedLine(
        texts[name] ?? `Not one of the usual ${kind}.`,
        element("span", { class: "key" }, name),
        element("span", { class: "value" }, JSON.stringify(value), time ? element("span", { class: "words" }, ` ${time}`) : null),
      );
    });
  }

  function draw({ access, header, claims }) {
    byId("token-text").replaceChildren(...colouredParts(access));
    byId("token-copy").replaceChildren(copyButton("Copy token", accessToken));
    byId("decoded").replaceChildren(
      part("header", "Header", lines(header, HEADER, "header members")),
      part("payload", "Payload", lines(claims, CLAIMS, "claims")),
      part("signature", "Signature", [
        explainedLine(SIGNATURE, element("span", { class: "value" }, "HMAC-SHA-256 of the first two parts, 32 bytes")),
      ]),
    );
    setText(explanation, NO_LINE_SELECTED);
  }

  onSession((now) => {
    setVisible(byId("token-empty"), !now);
    setVisible(byId("token-shown"), Boolean(now));
    if (now) draw(now);
    else ["token-text", "token-copy", "decoded"].forEach((id) => byId(id).replaceChildren());
  });

  const answer = byId("refresh-answer");
  const button = byId("refresh");
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    const answered = await refresh();
    button.removeAttribute("aria-disabled");
    if (answered.status === 200 && !answered.unexpected) {
      confirm(answer, "You have two new tokens: the access token shown here and a refresh token.");
    } else {
      report(session() ? answer : byId("account-answer"), answered);
      if (!session()) byId("email").focus();
    }
  });

  setUpExpiry(answer);
}

/** Count down to the expiry. Once posts must refuse the token, send it a request and show the response. */
function setUpExpiry(answer) {
  const countdown = byId("countdown");
  const bar = byId("countdown-bar");
  const state = byId("expiry");
  /** When to send the next request, in seconds after exp; null for never. */
  let nextRequest = null;

  async function askPosts() {
    const token = accessToken();
    const answered = await call("posts", "GET", "/posts?limit=1", { token });
    if (accessToken() !== token) return;
    if (answered.problem?.code === "token_expired") {
      const { title, lines } = describe(answered);
      state.replaceChildren(
        message(
          "bad",
          ["GET /posts → ", ...title],
          lines[0],
          [`Check ${answered.problem.check} of ${checks.length} refused it. Select Refresh to get a new token; you don’t need your password.`],
        ),
      );
      return;
    }
    // either the leeway is longer than the default, or the response says nothing about the token
    const expiredFor = -timeLeft() / 1000;
    nextRequest = expiredFor < LONGEST_LEEWAY + LEEWAY ? expiredFor + LEEWAY : null;
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
      setText(countdown, `expires in ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`);
      return;
    }
    setText(countdown, `expired ${Math.floor(-left)} s ago`);
    if (nextRequest === null) return;
    if (-left > nextRequest) {
      nextRequest = null;
      setText(state, "");
      askPosts();
    } else if (nextRequest === FIRST_REQUEST) {
      setProse(
        state,
        `Your token expired. The \`posts\` service accepts it for up to ${LEEWAY} s longer, because the clocks of two machines can differ. After that, this page sends it once more to show you the refusal.`,
      );
    }
  }

  onSession((now) => {
    nextRequest = now ? FIRST_REQUEST : null;
    state.replaceChildren();
    report(answer, null);
    tick();
  });
  setInterval(tick, 250);
}
