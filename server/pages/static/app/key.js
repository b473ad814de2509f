// The API key: kept for this tab only, and sent in a header, never in an address.
import { keep, recall } from "./storage.js";

const NAME = "thinking.key";
let key = recall("sessionStorage", NAME, "");

export function getKey() {
  return key;
}

export function setKey(value) {
  key = value.trim();
  keep("sessionStorage", NAME, key);
}
