// Replaces the parts of a page that have changed. Without it, a reload does the same.
const main = document.querySelector("main[data-live]");
const note = document.getElementById("live");
let events;

/** Puts new HTML into a part, and keeps open tables, the focus, and the end of a log in sight. */
function replace(part, text) {
  const open = [...part.querySelectorAll("details[open]")].map(({ id }) => id);
  const focused = part.contains(document.activeElement) ? document.activeElement : null;
  const places = [...part.querySelectorAll("a, input, summary, [tabindex]")];
  const at = focused ? places.indexOf(focused) : -1;
  const log = part.querySelector(".log");
  const isAtEnd = log && log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
  const top = log?.scrollTop ?? 0;
  part.innerHTML = text;
  for (const id of open) document.getElementById(id)?.setAttribute("open", "");
  if (at >= 0) part.querySelectorAll("a, input, summary, [tabindex]")[at]?.focus({ preventScroll: true });
  const fresh = part.querySelector(".log");
  if (fresh) fresh.scrollTop = isAtEnd ? fresh.scrollHeight : top;
}

function follow() {
  if (document.hidden || events || !main) return;
  events = new EventSource(`/live?of=${encodeURIComponent(main.dataset.live)}`);
  events.addEventListener("open", () => {
    note.textContent = "Live";
  });
  events.addEventListener("part", ({ data }) => {
    const { id, text } = JSON.parse(data);
    const part = document.getElementById(id);
    if (part) replace(part, text);
  });
  events.addEventListener("problem", ({ data }) => {
    note.textContent = `Not up to date: ${data}`;
  });
  events.addEventListener("end", () => {
    events.close();
    note.textContent = "Nothing changes any more";
  });
  events.addEventListener("error", () => {
    note.textContent = "Not up to date: the console does not answer";
  });
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return follow();
  events?.close();
  events = undefined;
});
for (const log of document.querySelectorAll(".log")) log.scrollTop = log.scrollHeight;
follow();
