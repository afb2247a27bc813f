// Messages: `announce` is for screen readers, `notice` stands on the page for everybody.

const byId = (id) => document.getElementById(id);
const STAYS = 6000; // milliseconds that a good message stays; a bad one stays until it is closed
let closing = 0;

export function announce(words) {
  byId("status").textContent = words;
}

export function notice(words, bad = false) {
  clearTimeout(closing);
  const box = byId("notice");
  box.hidden = false;
  box.classList.toggle("bad", bad);
  byId("notice-said").textContent = words;
  if (!bad) closing = setTimeout(close, STAYS);
}

function close() {
  byId("notice").hidden = true;
}

export function startNotices() {
  byId("notice-close").addEventListener("click", close);
}
