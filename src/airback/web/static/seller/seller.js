// The seller's pages work without this file; with it they count down, refuse double taps and follow an order live.

import { followOrder } from "./live.js";

document.documentElement.classList.remove("no-js");

/** One submission per form: a second tap while the first is on its way does nothing. */
function sendOnce(form) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    const button = form.querySelector('button[type="submit"]');
    if (button) {
      button.setAttribute("aria-busy", "true");
      button.setAttribute("aria-disabled", "true");
    }
  });
}

/** Coming back with the browser's button brings the page out of its cache: let its forms be sent again. */
window.addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    const button = form.querySelector('button[type="submit"]');
    button?.removeAttribute("aria-busy");
    button?.removeAttribute("aria-disabled");
  }
});

/** A button that may be pressed again after so many seconds. */
function waitFor(button) {
  const text = button.textContent;
  const until = Date.now() + Number(button.dataset.wait) * 1000;
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000);
    button.disabled = left > 0;
    button.textContent = left > 0 ? button.dataset.waitText.replace("{s}", left) : text;
    if (left > 0 && button.isConnected) setTimeout(tick, 250);
  };
  tick();
}

/** How long the quote stands. The server's clock counts: what is left was computed there. */
function countDown(pill) {
  const shown = pill.querySelector("[data-countdown]");
  const until = performance.now() + Number(pill.dataset.left);
  const sell = document.querySelector("[data-sell]");
  const tick = () => {
    const left = Math.max(0, Math.ceil((until - performance.now()) / 1000));
    if (left === 0) {
      pill.dataset.state = "over";
      const again = document.createElement("a");
      again.href = pill.dataset.here;
      again.textContent = pill.dataset.overAction;
      pill.querySelector("span").replaceChildren(pill.dataset.over, " ", again);
      sell?.setAttribute("disabled", "");
      return;
    }
    pill.dataset.state = left <= 60 ? "soon" : "fresh";
    shown.textContent = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")}`;
    setTimeout(tick, 250);
  };
  pill.querySelector("[data-label]").textContent = pill.dataset.label;
  tick();
}

function pickAmounts(form) {
  const picks = [...form.querySelectorAll("[data-pick]")];
  const mark = (value) => picks.forEach((each) => each.setAttribute("aria-pressed", String(each.dataset.pick === value)));
  for (const pick of picks) {
    const input = form.querySelector(`#${pick.dataset.into}`);
    pick.addEventListener("click", () => {
      input.value = pick.dataset.pick;
      mark(input.value);
      input.dispatchEvent(new Event("input", { bubbles: true }));
    });
    input.addEventListener("input", () => mark(input.value.trim()));
    mark(input.value.trim());
  }
}

/** Platform credit needs no account: hide what it does not ask. */
function followRail(fields) {
  const form = fields.closest("form");
  const show = () => {
    const rail = form.querySelector('[name="rail"]:checked, [name="rail"][type="hidden"]')?.value;
    const wanted = rail === fields.dataset.forRail;
    fields.hidden = !wanted;
    for (const input of fields.querySelectorAll("input")) input.disabled = !wanted;
  };
  form.addEventListener("change", show);
  show();
}

function reveal(button) {
  const input = document.getElementById(button.dataset.reveal);
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = input.type === "password";
    input.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", String(shown));
  });
  input.form.addEventListener("submit", () => {
    input.type = "password";
  });
}

/** Numbers are typed and read in groups: 138 0013 8000. */
function groupDigits(input) {
  const show = () => {
    const atEnd = input.selectionStart === input.value.length;
    const digits = input.value.replace(/^\s*\+?86(?=1\d{10})/, "").replace(/\D/g, "").slice(0, 11);
    if (!atEnd) return;
    input.value = digits.replace(/^(\d{3})(\d{1,4})?(\d{1,4})?$/, (_, a, b, c) => [a, b, c].filter(Boolean).join(" "));
  };
  input.addEventListener("input", show);
  show();
}

/** A code that is complete is sent by itself, as people expect. */
function sendWhenComplete(input) {
  input.addEventListener("input", () => {
    if (/^\d{6}$/.test(input.value)) input.form.requestSubmit();
  });
  input.focus();
}

function prepare(root) {
  root.querySelectorAll("form[data-once]").forEach(sendOnce);
  root.querySelectorAll("[data-wait]").forEach(waitFor);
  root.querySelectorAll("[data-left]").forEach(countDown);
  root.querySelectorAll("[data-reveal]").forEach(reveal);
  root.querySelectorAll("[data-for-rail]").forEach(followRail);
  root.querySelectorAll('[data-group="mobile"]').forEach(groupDigits);
  root.querySelectorAll("[data-code]").forEach(sendWhenComplete);
  if (root.querySelector("[data-pick]")) root.querySelectorAll("form").forEach(pickAmounts);
  root.querySelectorAll("[data-live]").forEach((each) => followOrder(each, prepare));
}

prepare(document);
document.querySelector("[aria-invalid]")?.focus();
document.body.addEventListener("htmx:after:swap", () => {
  document.querySelectorAll("#resend [data-wait]:not([disabled])").forEach(waitFor);
});
