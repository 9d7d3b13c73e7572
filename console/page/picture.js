/** The picture: two services, what each has of its own, the one thing they share, and which of it the last call touched. */

import { listen, readiness } from "./api.js";
import { byId, h, say } from "./dom.js";
import { ending } from "./outcome.js";
import { onSession } from "./session.js";

const EVERY = 2000;
const SERVICES = ["auth", "posts"];

const STATES = { ready: "ready", unready: "not ready", silent: "down: no answer" };

const listeners = [];

/** Be told what a service answers whenever it was asked whether it is ready. */
export const onReadiness = (listener) => listeners.push(listener);

export function setUpPicture() {
  const kids = {};
  const states = {};

  function draw(service, { state, body }) {
    const box = byId(`${service}-box`);
    box.dataset.state = state;
    const why = state === "unready" ? ` (${body?.code ?? "no reason given"})` : "";
    const stale = body?.keyring === "stale" ? ", key file can’t be read" : "";
    say(byId(`${service}-state`), STATES[state] + why + stale);
    if (body?.kids) kids[service] = body.kids;
    states[service] = state;
    drawKids();
    drawAlone();
  }

  /** In words, for whoever doesn't see the picture; said once for each change. */
  function drawAlone() {
    const [auth, posts] = SERVICES.map((service) => states[service]);
    let words = "";
    if (auth && auth !== "ready" && posts === "ready") {
      words = "auth is down, and posts goes on: it verifies every token by itself.";
    } else if (auth === "ready" && posts && posts !== "ready") {
      words = "posts is down. auth still signs tokens.";
    } else if (auth && posts && auth !== "ready" && posts !== "ready") {
      words = "Both are down, or don’t allow this page’s origin (CORS_ORIGINS).";
    }
    say(byId("alone"), words);
  }

  function drawKids() {
    const [auth, posts] = SERVICES.map((service) => kids[service]);
    const common = (auth ?? []).filter((kid) => (posts ?? []).includes(kid));
    const all = [...new Set([...(auth ?? []), ...(posts ?? [])])];
    byId("kids").replaceChildren(...all.flatMap((kid, index) => [index ? ", " : "", h("code", {}, kid)]));
    let words = "Asking both for the id of their key…";
    if (auth && posts) {
      words = common.length
        ? "The id of the secret key. It is the same in both, and all that they have in common."
        : "Different keys: posts will believe no token of auth.";
    } else if (auth ?? posts) {
      words = `The id of the key in ${auth ? "auth" : "posts"}.`;
    }
    say(byId("kids-text"), words);
  }

  async function poll(service) {
    const found = await readiness(service);
    const kids = found.body?.kids;
    if (found.state === "ready" && !(Array.isArray(kids) && kids.every((kid) => typeof kid === "string"))) {
      found.state = "unready";
      found.body = null;
    }
    draw(service, found);
    listeners.forEach((listener) => listener(service, found));
  }

  /** Each by itself, so that one that hangs doesn't keep the other waiting. */
  async function pollForever(service) {
    for (;;) {
      if (document.visibilityState === "hidden") {
        await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
        continue;
      }
      await poll(service);
      await new Promise((resolve) => setTimeout(resolve, EVERY));
    }
  }

  onSession((now) => say(byId("holds"), now ? "holds an access token and a refresh token" : "holds no token"));
  SERVICES.forEach(pollForever);
  listen(begin, end);
}

function begin({ service, method, path, follows }) {
  if (follows) return;
  for (const each of SERVICES) {
    const drawing = byId(`${each}-column`);
    drawing.dataset.call = each === service ? "under-way" : "";
    drawing.dataset.database = "";
    say(byId(`${each}-call`), each === service ? `${method} ${path.split("?")[0]}` : "");
    say(byId(`${each}-asked`), "");
  }
}

function end(call) {
  if (call.follows) return;
  const drawing = byId(`${call.service}-column`);
  drawing.dataset.call = ending(call);
  say(byId(`${call.service}-call`), `${call.method} ${call.path.split("?")[0]} → ${call.answered ? call.status : "no answer"}`);
  if (!call.answered) return;
  drawing.dataset.database = call.database ? "asked" : "not-asked";
  say(byId(`${call.service}-asked`), call.database ? "asked" : "not asked");
}
