// Reads tokens, a JSON string on each line, and answers on a line each: {"claims": …}, or {"refused": code}.
// Anything but a refusal ends it, with a status other than 0.
import { createInterface } from "node:readline";
import { errors } from "jose";
import { verify } from "./verify.mjs";

for await (const line of createInterface({ input: process.stdin })) {
  try {
    console.log(JSON.stringify({ claims: await verify(JSON.parse(line)) }));
  } catch (error) {
    if (!(error instanceof errors.JOSEError)) throw error;
    console.log(JSON.stringify({ refused: error.code }));
  }
}
