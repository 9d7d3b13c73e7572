/** Load the configuration and set up every part of the page. */

import { configure, serviceUrl } from "./api.js";
import { setChecks } from "./checks.js";
import { onReadiness, setUpDiagram } from "./diagram.js";
import { byId, setVisible } from "./dom.js";
import { clearOutdatedMessages } from "./messages.js";
import { setUpNextStep } from "./next_step.js";
import { setUpRequestLog } from "./request_log.js";
import { setUpBreakIt } from "./step_break_it.js";
import { setUpPosts } from "./step_posts.js";
import { setUpAuthNotice, setUpSignIn } from "./step_sign_in.js";
import { setUpToken } from "./step_token.js";

/** Fetch a JSON file from the console's own server. Throws if that fails. */
async function load(file) {
  const response = await fetch(file, { cache: "no-store" });
  if (!response.ok) throw new Error(`${file}: ${response.status}`);
  return response.json();
}

async function start() {
  let config, checks;
  try {
    [config, checks] = await Promise.all([load("config.json"), load("checks.json")]);
  } catch {
    setVisible(byId("load-failed"), true);
    return;
  }
  configure(config);
  setChecks(checks);
  for (const service of ["auth", "posts"]) {
    const link = byId(`${service}-docs`);
    link.href = `${serviceUrl(service)}/docs`;
    setVisible(link, true);
  }
  setUpRequestLog();
  setUpDiagram();
  onReadiness(clearOutdatedMessages);
  setUpSignIn();
  setUpNextStep();
  setUpAuthNotice(onReadiness);
  setUpToken();
  setUpPosts();
  setUpBreakIt(config.gallery);
}

start();
