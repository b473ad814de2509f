// The API key: kept for this tab only, and sent in a header, never in an address.
const NAME = "thinking.key";
let key = read();

function read() {
  try {
    return sessionStorage.getItem(NAME) ?? "";
  } catch {
    return "";
  }
}

export function getKey() {
  return key;
}

export function setKey(value) {
  key = value.trim();
  try {
    sessionStorage.setItem(NAME, key);
  } catch {
    // Storage may be forbidden; then the key lasts as long as the page.
  }
}
