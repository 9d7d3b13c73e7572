/** The line under the title: what to do next, by what has been done. */

import { listen } from "./api.js";
import { verdict } from "./checks.js";
import { byId, h } from "./dom.js";
import { onSession, session } from "./session.js";

export function setUpNext() {
  const line = byId("next-step");
  const breakIt = (text) => h("a", { href: "#break-title" }, text);

  onSession((now) => {
    if (now) line.replaceChildren("You have a token that posts believes. ", breakIt("Now break it"), ".");
    else line.replaceChildren(h("strong", {}, "Sign in again"), ", or register: a forgery is made of a good token.");
  });
  listen(null, (call) => {
    const { failed } = verdict(call);
    if (session() && failed !== null) {
      line.replaceChildren(`posts refused a token at check ${failed} of 13, without asking auth. `, breakIt("Break it another way"), ".");
    }
  });
}
