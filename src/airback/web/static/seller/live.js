// Follows one order: each message is the order's part of the page anew. The browser reconnects by itself and says
// which message it saw last. Where it gives up, the page is asked for again every ten seconds. A part whose key did
// not change stays, so that nothing being typed is lost.

const ASK_EVERY_MS = 10_000;
const OFFLINE_AFTER_MS = 5_000;

export function followOrder(place, prepare) {
  const offline = document.getElementById("offline");
  let stream;
  let asking;
  let worried;

  const calm = () => {
    clearTimeout(worried);
    worried = undefined;
    offline.hidden = true;
  };
  const worry = () => {
    worried ??= setTimeout(() => {
      offline.hidden = false;
    }, OFFLINE_AFTER_MS);
  };
  const show = (text) => {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    for (const part of fresh.querySelectorAll("[data-part]")) {
      const old = document.getElementById(part.id);
      if (!old || (part.dataset.key && part.dataset.key === old.dataset.key)) continue;
      old.replaceWith(document.adoptNode(part));
      prepare(part);
    }
  };
  const ask = async () => {
    try {
      const answer = await fetch(location.pathname, { headers: { accept: "text/html" } });
      if (!answer.ok) throw new Error(answer.statusText);
      const text = await answer.text();
      calm();
      show(text);
      if (!text.includes("data-live=")) return;
    } catch {
      worry();
    }
    asking = setTimeout(ask, ASK_EVERY_MS);
  };
  const open = () => {
    stream = new EventSource(place.dataset.live);
    stream.addEventListener("open", calm);
    stream.addEventListener("error", () => {
      worry();
      if (stream.readyState === EventSource.CLOSED) asking ??= setTimeout(ask, ASK_EVERY_MS);
    });
    stream.addEventListener("order", (message) => show(message.data));
    stream.addEventListener("end", () => {
      stream.close();
      calm();
    });
  };
  open();
  window.addEventListener("pagehide", () => {
    stream.close();
    clearTimeout(asking);
  });
  window.addEventListener("pageshow", (event) => event.persisted && open());
}
