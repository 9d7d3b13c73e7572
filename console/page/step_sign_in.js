/** Step 1: register, sign in, sign out. */

import { byId, copyButton, prose, setText, setVisible } from "./dom.js";
import { message, report, succeeded } from "./messages.js";
import { onSession, register, session, signIn, signOut } from "./session.js";

const NAMES = ["Ada", "Barbara", "Edsger", "Grace", "Katherine", "Leslie", "Margaret", "Niklaus", "Radia", "Tony"];

/** Generate a pronounceable password of ten syllables. Each has 16 consonants and 4 vowels to choose from: 60 bits in all. */
function generatePassword() {
  const random = crypto.getRandomValues(new Uint8Array(10));
  const syllables = Array.from(random, (byte) => "bdfghjklmnprstvz"[byte & 15] + "aiou"[(byte >> 4) & 3]);
  return [0, 2, 4, 6, 8].map((at) => syllables[at] + syllables[at + 1]).join("-");
}

function generateAccount() {
  const random = crypto.getRandomValues(new Uint8Array(4));
  const name = NAMES[random[0] % NAMES.length];
  const number = (random[1] << 16) | (random[2] << 8) | random[3];
  return { name, email: `${name.toLowerCase()}-${number}@example.com`, password: generatePassword() };
}

export function setUpSignIn() {
  const form = byId("account");
  const fields = { name: byId("name"), email: byId("email"), password: byId("password") };
  const answer = byId("account-answer");
  const buttons = form.querySelectorAll(".buttons button");
  const show = byId("show-password");

  function fill() {
    for (const [name, value] of Object.entries(generateAccount())) fields[name].value = value;
    notePassword(true);
    setPrimary("register");
  }

  function notePassword(generated) {
    setText(byId("password-note"), generated ? "generated for you" : "at least 15 characters");
  }

  function showPassword(shown) {
    fields.password.type = shown ? "text" : "password";
    setText(show, shown ? "Hide" : "Show");
    show.setAttribute("aria-label", shown ? "Hide password" : "Show password");
  }

  /** Tell password managers whether to save a new password or to fill in a saved one. */
  function expectPassword(button) {
    fields.password.autocomplete = button === "sign-in" ? "current-password" : "new-password";
  }

  /** Make a button the primary one and put it first, so that Enter presses it. */
  function setPrimary(id) {
    expectPassword(id);
    for (const each of ["sign-in", "register"]) byId(each).classList.toggle("primary", each === id);
    byId(id).parentElement.prepend(byId(id));
  }

  /** Mark the fields that the service found invalid. */
  function markInvalidFields(call) {
    const invalid = (call?.problem?.errors ?? []).map((fault) => fault.pointer);
    for (const [name, field] of Object.entries(fields)) {
      if (invalid.includes(`/${name}`)) field.setAttribute("aria-invalid", "true");
      else field.removeAttribute("aria-invalid");
    }
  }

  /** Call auth with the buttons disabled, and report an error. */
  async function attempt(work) {
    buttons.forEach((button) => button.setAttribute("aria-disabled", "true"));
    let call;
    try {
      call = await work();
    } finally {
      buttons.forEach((button) => button.removeAttribute("aria-disabled"));
    }
    markInvalidFields(call);
    report(answer, succeeded(call) ? null : call);
    if (session() && succeeded(call)) byId("token-title").focus();
  }

  const busy = () => buttons[0].getAttribute("aria-disabled") === "true";

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (busy()) return;
    showPassword(false);  // browsers offer to save a password only if it is hidden
    expectPassword(event.submitter?.id);
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
    markInvalidFields(null);
    report(answer, null);
  });

  show.addEventListener("click", () => showPassword(fields.password.type === "password"));
  fields.password.addEventListener("input", () => notePassword(false));
  byId("account-copy").append(copyButton("Copy both", () => `${fields.email.value}\n${fields.password.value}`));

  const out = byId("sign-out");
  out.addEventListener("click", async () => {
    const call = await signOut();
    if (!session()) {
      answer.replaceChildren(
        succeeded(call)
          ? message(
              "good",
              ["You’re signed out"],
              prose("Your session has ended and this page has deleted both tokens and your password. The `posts` service would still accept the access token until it expires."),
            )
          : message(
              "warn",
              ["You’re signed out on this page only"],
              prose("This page has deleted both tokens and your password, but the `auth` service didn’t confirm that it ended your session. To end it, sign in again and call `DELETE /sessions`."),
            ),
      );
      fields.email.focus();
    }
  });

  onSession((now) => {
    setVisible(form, !now);
    setVisible(byId("signed-in"), Boolean(now));
    notePassword(false);
    if (!now) fields.password.value = ""; // the next person at this computer could sign in with it
    if (now) {
      setText(byId("who"), now.claims.name);
      setPrimary("sign-in");
      report(answer, null);
    }
  });
  showPassword(false);
  fill();
}

/** Show a notice above the sign-in form while auth is unavailable. */
export function setUpAuthNotice(onReadiness) {
  const notice = byId("auth-notice");
  onReadiness((service, { state }) => {
    if (service !== "auth") return;
    if (state === "ready") notice.replaceChildren();
    else if (!notice.hasChildNodes()) {
      notice.append(
        message(
          "warn",
          prose("The `auth` service is unavailable"),
          prose("You can’t register, sign in or refresh until it is back. If you are signed in, you can use the `posts` service until your token expires."),
        ),
      );
    }
  });
}
