/** Step 1: register, sign in, sign out. */

import { byId, copyButton, h, say, show } from "./dom.js";
import { fine, report } from "./outcome.js";
import { onSession, register, session, signIn, signOut } from "./session.js";

const NAMES = ["Ada", "Barbara", "Edsger", "Grace", "Katherine", "Leslie", "Margaret", "Niklaus", "Radia", "Tony"];

/** Random syllables to be read aloud: 16 consonants and 4 vowels give 6 bits each, so 60 in all. */
function passphrase() {
  const random = crypto.getRandomValues(new Uint8Array(10));
  const syllables = Array.from(random, (byte) => "bdfghjklmnprstvz"[byte & 15] + "aiou"[(byte >> 4) & 3]);
  return [0, 2, 4, 6, 8].map((at) => syllables[at] + syllables[at + 1]).join("-");
}

function generated() {
  const random = crypto.getRandomValues(new Uint8Array(4));
  const name = NAMES[random[0] % NAMES.length];
  const number = (random[1] << 16) | (random[2] << 8) | random[3];
  return { name, email: `${name.toLowerCase()}-${number}@example.com`, password: passphrase() };
}

export function setUpSignIn() {
  const form = byId("account");
  const fields = { name: byId("name"), email: byId("email"), password: byId("password") };
  const answer = byId("account-answer");
  const buttons = form.querySelectorAll("button");

  function fill() {
    for (const [name, value] of Object.entries(generated())) fields[name].value = value;
    madeUp(true);
    prefer("register");
  }

  function madeUp(now) {
    say(byId("password-note"), now ? "made up just now; 15 characters or more" : "15 characters or more");
  }

  /** What comes first is also what Enter presses. */
  function prefer(id) {
    for (const each of ["sign-in", "register"]) byId(each).classList.toggle("primary", each === id);
    byId(id).parentElement.prepend(byId(id));
  }

  function point(call) {
    const faulty = (call?.problem?.errors ?? []).map((fault) => fault.pointer);
    for (const [name, field] of Object.entries(fields)) {
      if (faulty.includes(`/${name}`)) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
    }
  }

  /** One at a time; what is answered last is what is shown. */
  async function attempt(work) {
    buttons.forEach((button) => button.setAttribute("aria-disabled", "true"));
    let call;
    try {
      call = await work();
    } finally {
      buttons.forEach((button) => button.removeAttribute("aria-disabled"));
    }
    point(call);
    report(answer, fine(call) ? null : call);
    if (session() && fine(call)) byId("token-title").focus();
  }

  const busy = () => buttons[0].getAttribute("aria-disabled") === "true";

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (busy()) return;
    const [name, email, password] = [fields.name.value, fields.email.value, fields.password.value];
    if (event.submitter?.id === "sign-in") attempt(() => signIn(email, password));
    else {
      attempt(async () => {
        const account = await register(name, email, password);
        return account.status === 201 ? signIn(email, password) : account;
      });
    }
  });
  byId("fill").addEventListener("click", () => {
    fill();
    point(null);
    report(answer, null);
  });

  fields.password.addEventListener("input", () => madeUp(false));
  byId("account-copy").append(copyButton("Copy both", () => `${fields.email.value}\n${fields.password.value}`));

  const out = byId("sign-out");
  out.addEventListener("click", async () => {
    const call = await signOut();
    if (!session()) {
      answer.replaceChildren(
        h(
          "div",
          { class: `message ${fine(call) ? "good" : "warn"}` },
          h("p", {}, h("b", {}, fine(call) ? "Signed out" : "Signed out here only")),
          h(
            "p",
            {},
            fine(call)
              ? "auth has ended the session. posts does not know: the access token, which this page has forgotten, would work there until it expires."
              : "This page has forgotten both tokens, but auth could not be told, so the session there lives on.",
          ),
        ),
      );
      fields.email.focus();
    }
  });

  onSession((now) => {
    show(form, !now);
    show(byId("signed-in"), Boolean(now));
    if (now) {
      say(byId("who"), now.claims.name);
      madeUp(false);
      prefer("sign-in");
      report(answer, null);
    }
  });
  fill();
}

/** Say at the sign-in that auth is not there, as long as it isn't. */
export function setUpAuthNotice(onReadiness) {
  const notice = byId("auth-notice");
  onReadiness((service, { state }) => {
    if (service !== "auth") return;
    if (state === "ready") notice.replaceChildren();
    else if (!notice.hasChildNodes()) {
      notice.append(
        h(
          "div",
          { class: "message warn" },
          h("p", {}, h("b", {}, "auth is down.")),
          h(
            "p",
            {},
            "Nobody can register, sign in or refresh until it is back. Whoever has a token goes on at posts until the token expires.",
          ),
        ),
      );
    }
  });
}
