/** The wiring: which part is set up with what, and in which order. */

import { setUpAnatomy } from "./anatomy.js";
import { baseOf, configure } from "./api.js";
import { setUpBreaking } from "./breaking.js";
import { byId, show } from "./dom.js";
import { setUpLog } from "./log.js";
import { setUpNext } from "./next.js";
import { heard } from "./outcome.js";
import { onReadiness, setUpPicture } from "./picture.js";
import { setUpPosts } from "./posts.js";
import { setUpAuthNotice, setUpSignIn } from "./signin.js";

async function start() {
  let config;
  try {
    config = await (await fetch("config.json", { cache: "no-store" })).json();
  } catch {
    show(byId("no-config"), true);
    return;
  }
  configure(config);
  for (const service of ["auth", "posts"]) {
    const link = byId(`${service}-docs`);
    link.href = `${baseOf(service)}/docs`;
    show(link, true);
  }
  setUpLog();
  setUpPicture();
  onReadiness(heard);
  setUpSignIn();
  setUpNext();
  setUpAuthNotice(onReadiness);
  setUpAnatomy();
  setUpPosts();
  setUpBreaking(config.gallery);
}

start();
