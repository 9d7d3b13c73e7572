/** The line below the title that suggests what to do next. */

import { onCall } from "./api.js";
import { checks, verdict } from "./checks.js";
import { byId, element, prose } from "./dom.js";
import { onSession, session } from "./session.js";

export function setUpNextStep() {
  const line = byId("next-step");
  const breakIt = (text) => element("a", { href: "#break-title" }, text);

  onSession((now) => {
    if (now) line.replaceChildren("You have a valid token. ", breakIt("Now break it"), ".");
    else line.replaceChildren(element("strong", {}, "Sign in again"), " to get a token that you can break.");
  });
  onCall(null, (call) => {
    const { failed } = verdict(call);
    if (session() && failed !== null) {
      line.replaceChildren(
        ...prose(`The \`${call.service}\` service refused your last token at check ${failed} of ${checks.length}. `),
        breakIt("Break it another way"),
        ".",
      );
    }
  });
}
