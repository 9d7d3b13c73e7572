/** Step 3: read, search, write, edit and delete posts with the token. */

import { call } from "./api.js";
import { byId, element, setText, setVisible } from "./dom.js";
import { confirm, report, succeeded } from "./messages.js";
import { accessToken, onSession, session } from "./session.js";

const PAGE_SIZE = 5;
const MODERATE = "posts:moderate";

export function setUpPosts() {
  const list = byId("post-list");
  const answer = byId("posts-answer");
  const more = byId("more");
  const search = byId("search");
  let next = null;
  let latest = 0;

  const send = (method, path, options = {}) => call("posts", method, path, { token: accessToken(), ...options });

  const filtered = () => byId("mine").checked || Boolean(byId("q").value.trim() || byId("tag").value.trim());

  function path(cursor) {
    const query = new URLSearchParams({ limit: String(PAGE_SIZE) });
    if (byId("q").value.trim()) query.set("q", byId("q").value.trim());
    if (byId("tag").value.trim()) query.set("tag", byId("tag").value.trim());
    if (byId("mine").checked) query.set("author", "me");
    if (cursor) query.set("cursor", cursor);
    return `/posts?${query}`;
  }

  /** Load the first page or, with a cursor, append the next one. Return the call without reporting it. */
  async function load(cursor = null, automatic = false) {
    const number = ++latest;
    if (!cursor) setVisible(more, false); // its cursor belongs to the filter of the list that is being replaced
    const answered = await send("GET", path(cursor), { automatic, isValid: isPage });
    if (number !== latest || !session()) return answered; // replaced by a later request, or signed out
    if (succeeded(answered)) {
      const items = answered.data.items.map(entry);
      if (cursor) list.append(...items);
      else list.replaceChildren(...items);
      next = answered.data.next;
      setVisible(more, next !== null);
      setText(byId("posts-count"), list.children.length ? "" : filtered() ? "No posts match your search." : "No posts yet. Write the first one.");
      if (cursor) items[0]?.querySelector("h4").focus();
    }
    return answered;
  }

  /**
   * Change something, report the result, and load the list again.
   *
   * @param {() => Promise<import("./api.js").Call>} work
   * @param {(saved: object | null) => string} confirmation
   * @param {Element} region  where to report an error, unless it means that the list is outdated
   */
  async function change(work, confirmation, region = answer) {
    const answered = await work();
    const outdated = answered.status === 412 || answered.status === 404;
    report(region, null);
    if (succeeded(answered)) confirm(answer, confirmation(answered.data));
    else report(outdated ? answer : region, answered);
    if (succeeded(answered) || outdated) {
      const listed = await load(null, true);
      if (succeeded(answered) && !succeeded(listed)) report(answer, listed);
    }
    return answered;
  }

  async function loadAndReport(cursor, automatic) {
    const answered = await load(cursor, automatic);
    report(answer, succeeded(answered) ? null : answered);
  }

  function entry(post) {
    const item = element("li", { class: "post", "data-id": String(post.id) });
    const mine = post.author_id === session().claims.sub;
    const canChange = mine || String(session().claims.scope).split(" ").includes(MODERATE);
    const name = `the post “${post.title}”`;
    const status = element("div", { role: "status" });
    const actions = element("span", { class: "post-actions" });
    const edit = element("button", { type: "button", class: "quiet small", "aria-label": `Edit ${name}`, click: () => editor(item, post, status) }, "Edit");
    const remove = element(
      "button",
      {
        type: "button",
        class: "quiet small",
        "aria-label": `Delete ${name}`,
        click: () => {
          actions.replaceChildren(confirmation());
          actions.querySelector("button").focus();
        },
      },
      "Delete",
    );
    function restoreButtons() {
      actions.replaceChildren(edit, remove);
      remove.focus();
    }

    /** Ask before deleting. Escape means no. */
    function confirmation() {
      const yes = async () => {
        await change(
          () => send("DELETE", `/posts/${post.id}`, { headers: { "If-Match": `"${post.version}"` } }),
          () => `Post ${post.id} deleted.`,
          status,
        );
        if (item.isConnected) restoreButtons(); // not deleted
        else byId("list-title").focus();
      };
      return element(
        "span",
        { role: "group", "aria-label": `Delete ${name}?`, keydown: (event) => event.key === "Escape" && restoreButtons() },
        "Delete this post? ",
        element("button", { type: "button", class: "quiet small", click: yes }, "Yes"),
        element("button", { type: "button", class: "quiet small", click: restoreButtons }, "No"),
      );
    }

    actions.append(edit, remove);
    item.append(
      element("h4", { tabindex: "-1", dir: "auto" }, post.title),
      element("p", { class: "post-body", dir: "auto" }, post.body),
      element(
        "div",
        { class: "post-foot" },
        element("span", {}, mine ? `${post.author_name} (you)` : post.author_name),
        element("span", {}, new Date(post.created_at).toLocaleString()),
        ...(post.version > 1 ? [element("span", {}, `version ${post.version}`)] : []),
        ...post.tags.map((tag) => element("span", { class: "tag" }, tag)),
        ...(canChange ? [] : [element("span", { class: "not-yours" }, "Not your post, so expect a 403.")]),
        actions,
      ),
      status,
    );
    return item;
  }

  function editor(item, post, status) {
    const title = element("input", { id: `title-${post.id}`, maxlength: "200", required: true, dir: "auto" });
    const body = element("textarea", { id: `body-${post.id}`, rows: "3", required: true, dir: "auto" });
    title.value = post.title;
    body.value = post.body;
    const close = () => {
      const fresh = entry(post);
      item.replaceWith(fresh);
      fresh.querySelector("button").focus();
    };
    const form = element(
      "form",
      {
        class: "stack",
        submit: async (event) => {
          event.preventDefault();
          const changes = { title: title.value, body: body.value };
          // If-Match keeps this from overwriting a change that someone else has made since
          const answered = await change(
            () => send("PATCH", `/posts/${post.id}`, { json: changes, headers: { "If-Match": `"${post.version}"` } }),
            (saved) => `Post ${saved.id} saved as version ${saved.version}.`,
            status,
          );
          if (succeeded(answered)) list.querySelector(`[data-id="${post.id}"] h4`)?.focus();
        },
      },
      element("label", { for: title.id }, "Title"),
      title,
      element("label", { for: body.id }, "Text"),
      body,
      element(
        "div",
        { class: "buttons" },
        element("button", { class: "primary" }, "Save"),
        element("button", { type: "button", class: "quiet", click: close }, "Cancel"),
      ),
    );
    report(status, null);
    item.replaceChildren(form, status);
    title.focus();
  }

  byId("write").addEventListener("submit", async (event) => {
    event.preventDefault();
    const tags = byId("new-tags").value.split(",").map((tag) => tag.trim()).filter(Boolean);
    const json = { title: byId("new-title").value, body: byId("new-body").value, ...(tags.length ? { tags } : {}) };
    const answered = await change(() => send("POST", "/posts", { json }), (post) => `Post ${post.id} published.`);
    if (succeeded(answered)) event.target.reset();
  });
  search.addEventListener("submit", (event) => {
    event.preventDefault();
    loadAndReport();
  });
  byId("mine").addEventListener("change", () => loadAndReport());
  more.addEventListener("click", () => loadAndReport(next));

  // a refresh replaces the token but keeps the session, so the list stays as it is
  let sid = null;
  onSession((now) => {
    setVisible(byId("posts-empty"), !now);
    setVisible(byId("posts-shown"), Boolean(now));
    if (!now) {
      list.replaceChildren();
      report(answer, null);
    } else if (now.claims.sid !== sid) {
      loadAndReport(null, true);
    }
    sid = now?.claims.sid ?? null;
  });
}

const isText = (value) => typeof value === "string";

const isPost = ({ id, title, body, tags, created_at: at }) =>
  Number.isInteger(id) && [title, body, at].every(isText) && Array.isArray(tags) && tags.every(isText);

const isPage = ({ items, next }) => items.every(isPost) && (next === null || isText(next));
