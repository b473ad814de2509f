// The browser's storage, which may be forbidden or full: then a thing lasts as long as the page.

/** Return what is kept under `name`, or `fallback`. `kind`: "sessionStorage" or "localStorage". */
export function recall(kind, name, fallback) {
  try {
    return window[kind].getItem(name) ?? fallback;
  } catch {
    return fallback;
  }
}

export function keep(kind, name, value) {
  try {
    window[kind].setItem(name, value);
  } catch {
    // It lasts as long as the page.
  }
}
