// Charts of the console. A page says what to draw as data; nothing of it is run.
//
//   <figure class="console-chart" aria-label="…" data-chart='{…an ECharts option as JSON…}'></figure>
//
// A text that begins with "@" where ECharts takes a function names one of FORMATS. The figures of a chart stand in a
// table beside it for whoever does not look.
import * as echarts from "../vendor/echarts/echarts.esm.min.js";

const yuan = fen => (fen < 0 ? "−" : "") + "¥" + (Math.abs(fen) / 100).toLocaleString("zh-CN", { maximumFractionDigits: 2 });
const percent = ppm => (ppm / 10000).toLocaleString("zh-CN", { maximumFractionDigits: 2 }) + "%";
const figure = given => (given !== null && typeof given === "object" ? (Array.isArray(given.value) ? given.value.at(-1) : given.value) : given);

const FORMATS = {
  "@yuan": given => yuan(Number(figure(given))),
  "@percent": given => percent(Number(figure(given))),
};

function functions(part) {
  if (typeof part === "string") return FORMATS[part] ?? part;
  if (Array.isArray(part)) return part.map(functions);
  if (part !== null && typeof part === "object")
    return Object.fromEntries(Object.entries(part).map(([key, inner]) => [key, functions(inner)]));
  return part;
}

function draw(place) {
  const chart = echarts.getInstanceByDom(place) ?? echarts.init(place, null, { renderer: "svg" });
  chart.setOption({ animation: false, textStyle: { fontFamily: "inherit" }, ...functions(JSON.parse(place.dataset.chart)) }, true);
}

const sizes = new ResizeObserver(entries => entries.forEach(entry => echarts.getInstanceByDom(entry.target)?.resize()));

function drawAll(root) {
  for (const place of root.querySelectorAll("[data-chart]")) {
    draw(place);
    sizes.observe(place);
  }
}

drawAll(document);
// a part of the page that was fetched anew brings its charts' figures with it
document.addEventListener("htmx:after:swap", () => drawAll(document));
