/** Write a call as a curl command for a POSIX shell. */

/** Body members whose values are left out, each with the shell variable that stands in for it. */
export const SECRETS = { password: "PASSWORD", refresh_token: "REFRESH_TOKEN" };

/** Quote any text as one word for the shell. Between single quotes, only a single quote is special. */
export const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/**
 * Write the command.
 *
 * @param {{method: string, url: string, headers: [string, string][], json?: object}} call
 * @param {boolean} full  whether to write out the access token; otherwise the command reads it from $TOKEN
 */
export function curl({ method, url, headers, json }, full) {
  const words = ["curl -sSi", ...(method === "GET" ? [] : [`-X ${method}`]), quote(url)];
  for (const [name, value] of headers) {
    words.push(name === "Authorization" && !full ? `-H "Authorization: Bearer $TOKEN"` : `-H ${quote(`${name}: ${value}`)}`);
  }
  if (json !== undefined) words.push(`--data-raw ${body(json)}`);
  return words.join(" ");
}

/** List the shell variables that the command needs. */
export function variables({ headers, json }, full) {
  const bearer = !full && headers.some(([name]) => name === "Authorization") ? ["TOKEN"] : [];
  return [...bearer, ...Object.keys(json ?? {}).filter((name) => name in SECRETS).map((name) => SECRETS[name])];
}

function body(json) {
  let words = "";
  let text = "{";
  Object.entries(json).forEach(([name, value], index) => {
    text += `${index ? "," : ""}${JSON.stringify(name)}:`;
    if (name in SECRETS) {
      words += `${quote(`${text}"`)}"$${SECRETS[name]}"`;
      text = '"';
    } else {
      text += JSON.stringify(value);
    }
  });
  return words + quote(`${text}}`);
}
