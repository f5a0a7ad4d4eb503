// Follows one order: each message is the order's page part anew. The browser reconnects by itself and says which
// message it saw last. A part whose key did not change stays, so that nothing being typed is lost.

export function followOrder(place, prepare) {
  const offline = document.getElementById("offline");
  let stream;
  const open = () => {
    stream = new EventSource(place.dataset.live);
    stream.addEventListener("open", () => offline.setAttribute("hidden", ""));
    stream.addEventListener("error", () => offline.removeAttribute("hidden"));
    stream.addEventListener("order", (message) => show(message.data));
    stream.addEventListener("end", () => stream.close());
  };
  const show = (text) => {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    for (const part of fresh.querySelectorAll("[data-part]")) {
      const old = document.getElementById(part.id);
      if (!old || (part.dataset.key && part.dataset.key === old.dataset.key)) continue;
      old.replaceWith(document.adoptNode(part));
      prepare(document.getElementById(part.id));
      window.htmx?.process(document.getElementById(part.id));
    }
  };
  open();
  window.addEventListener("pagehide", () => stream.close());
  window.addEventListener("pageshow", (event) => event.persisted && open());
}
