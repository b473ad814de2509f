// Sets the colours before anything is painted. "system": as the browser says.
(() => {
  let theme = "system";
  try {
    theme = localStorage.getItem("thinking.theme") ?? theme;
  } catch {
    // Storage may be forbidden; then the choice lasts as long as the page.
  }
  document.documentElement.dataset.theme = theme;
})();
