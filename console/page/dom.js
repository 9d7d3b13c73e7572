/** Create and change elements. Everything is set as text, so nothing that a service sends can become markup. */

/**
 * Create an element.
 *
 * @param {string} tag
 * @param {Object<string, string | boolean | EventListener>} attributes  true sets an empty attribute, false and undefined
 *     set none; a function becomes the listener for the event of that name
 * @param {...(Node | string | null | undefined)} children  strings become text nodes
 */
export function element(tag, attributes = {}, ...children) {
  const created = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") created.addEventListener(name, value);
    else if (value === true) created.setAttribute(name, "");
    else if (value !== false && value !== undefined) created.setAttribute(name, value);
  }
  created.append(...children.filter((child) => child !== null && child !== undefined));
  return created;
}

/**
 * Turn one of the page's own texts into nodes: what stands between backticks is set in code type.
 *
 * Not for text from a service, in which a backtick is just a backtick.
 *
 * @returns {(Node | string)[]}
 */
export function prose(text) {
  return text.split("`").map((piece, index) => (index % 2 ? element("code", {}, piece) : piece));
}

export const byId = (id) => document.getElementById(id);

/** Show or hide an element for everyone, including keyboard and screen reader users. */
export function setVisible(target, visible) {
  target.hidden = !visible;
}

/** Set an element's text. Unchanged text is left alone, so that a live region doesn't announce it again. */
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

/** Do the same as setText for one of the page's own texts, with code type. */
export function setProse(target, text) {
  if (target.textContent !== text.replaceAll("`", "")) target.replaceChildren(...prose(text));
}

/** Create a button that copies what `text()` returns and confirms it. */
export function copyButton(label, text) {
  const button = element("button", { type: "button", class: "quiet small" }, label);
  const status = element("span", { class: "copied", role: "status" });
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
      setText(status, "Copied");
    } catch {
      setText(status, "Your browser blocked copying. Select the text and copy it yourself.");
    }
    setTimeout(() => setText(status, ""), 4000);
  });
  return element("span", { class: "copy" }, button, status);
}
