// The course as four charts over the same days: dose with its marks, neutrophils, platelets, creatinine clearance.
// Everything differs by shape or pattern as well as by colour, so that it can be printed.

const INK = "#16323a";
const QUIET = "#51666c";
const ALARM = "#a3231c";
const HEIGHTS = { dose: 88, anc: 80, platelets: 74, clearance: 78 };
const AXIS = 46;
const DAY = 86400;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

let charts = [];
let observer = null;

export function drawTimeline(root, told) {
  for (const chart of charts) chart.destroy();
  observer?.disconnect();
  root.replaceChildren();
  charts = [dosePanel(root, told), ...told.panels.map((panel, at) => countPanel(root, told, panel, at === told.panels.length - 1))];
  observer = new ResizeObserver(() => {
    for (const chart of charts) if (chart.width !== root.clientWidth) chart.setSize({ width: root.clientWidth, height: chart.height });
  });
  observer.observe(root);
}

function dosePanel(root, told) {
  const host = panel(root, "dose", "Lenalidomide", "mg a day", told.doses_told);
  const [days, given, drafted] = steps(told.doses);
  const most = Math.max(10, ...told.doses.map((dose) => dose.mg ?? 0));
  const stepped = uPlot.paths.stepped({ align: 1 });
  return plot(host, told, {
    height: HEIGHTS.dose,
    top: most * 2,
    ticks: [0, 5, 10, 15, 20, 25].filter((mg) => mg <= most),
    series: [
      { stroke: INK, width: 2, fill: "rgba(22, 50, 58, 0.10)", paths: stepped, points: { show: false } },
      { stroke: INK, width: 2, dash: [5, 4], paths: stepped, points: { show: false } },
    ],
    data: [days, given, drafted],
    over: (chart) => {
      for (const dose of labelled(told.doses)) doseLabel(chart, dose);
      drawMarks(chart, told.marks);
    },
    read: (at) => told.doses.filter((dose) => dose.from <= at && at < dose.to).map((dose) => dose.label + (dose.state === "draft" ? " (draft)" : ""))[0]
      ?? (told.holds.some((hold) => hold.from <= at && at < hold.to) ? "no treatment" : ""),
    marks: told.marks,
  });
}

function countPanel(root, told, panelTold, isLast) {
  const unread = panelTold.unread ? ` · not read: ${panelTold.unread}` : "";
  const host = panel(root, panelTold.id, panelTold.title, panelTold.unit + unread, panelTold.told);
  const { points, lines } = panelTold;
  const most = Math.max(...points.map((point) => point.value), ...lines.map((line) => line.value), 1) * (points.length ? 1 : 2);
  return plot(host, told, {
    height: HEIGHTS[panelTold.id] + (isLast ? 22 : 0),
    top: most * 1.18,
    axis: isLast,
    series: [{ stroke: INK, width: 1.4, points: { show: false } }],
    data: [points.map((point) => point.at), points.map((point) => point.value)],
    over: (chart) => {
      for (const line of lines) drawLine(chart, line);
      for (const point of points) drawPoint(chart, point);
      if (!points.length) written(chart, "no result that could be read", chart.bbox.left + chart.bbox.width / 2, chart.bbox.top + 14 * scale(chart), ALARM);
    },
    read: (at) => nearest(points, at)?.label ?? "",
  });
}

// A panel's title, what the pointer stands on, and its canvas, which tells its content in words.
function panel(root, id, title, unit, told) {
  const figure = document.createElement("figure");
  figure.className = "panel";
  const caption = document.createElement("figcaption");
  const name = document.createElement("b");
  name.textContent = title;
  const read = document.createElement("span");
  read.className = "read";
  caption.append(name, ` ${unit}`, read);
  const canvas = document.createElement("div");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", told);
  canvas.id = `chart-${id}`;
  figure.append(caption, canvas);
  root.append(figure);
  return { canvas, read };
}

function plot({ canvas, read }, told, wanted) {
  const ticks = wanted.ticks;
  const chart = new uPlot({
    width: canvas.clientWidth,
    height: wanted.height,
    padding: [4, 8, wanted.axis ? 2 : 6, 0],
    legend: { show: false },
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
    cursor: { y: false, points: { show: false }, drag: { x: false, y: false }, sync: { key: "course" } },
    scales: { x: { time: true, range: () => [told.from, told.to] }, y: { range: () => [0, wanted.top] } },
    axes: [
      { show: Boolean(wanted.axis), stroke: QUIET, grid: { stroke: "#e3e9e9", width: 1 }, ticks: { size: 4, stroke: "#b8c5c7" }, size: 22, gap: 3, space: 64,
        font: "11px system-ui, sans-serif", values: dates, splits: () => months(told, canvas.clientWidth) },
      { stroke: QUIET, grid: { show: false }, ticks: { size: 4, stroke: "#b8c5c7" }, size: AXIS, gap: 4, font: "11px system-ui, sans-serif", space: 24,
        ...(ticks ? { splits: () => ticks } : {}) },
    ],
    series: [{}, ...wanted.series],
    hooks: {
      drawClear: [(drawn) => shade(drawn, told)],
      draw: [(drawn) => {
        clipped(drawn, () => { now(drawn, told.now); wanted.over(drawn); });
      }],
      setCursor: [(drawn) => {
        const { left } = drawn.cursor;
        const at = left >= 0 ? drawn.posToVal(left, "x") : null;
        const near = at === null ? null : nearest(wanted.marks ?? [], at, 5 * DAY);
        read.textContent = at === null ? "" : near ? `${date(near.at)}: ${near.label}` : wanted.read(at);
      }],
    },
  }, wanted.data, canvas);
  return chart;
}

const date = (seconds) => {
  const day = new Date(seconds * 1000);
  return `${day.getUTCDate()} ${MONTHS[day.getUTCMonth()]} ${day.getUTCFullYear()}`;
};

function dates(chart, splits) {
  let year = null;
  return splits.map((seconds) => {
    const day = new Date(seconds * 1000);
    const isNew = day.getUTCFullYear() !== year;
    year = day.getUTCFullYear();
    return `${day.getUTCDate()} ${MONTHS[day.getUTCMonth()]}${isNew ? ` ${year}` : ""}`;
  });
}

// The first of every month, of every second, third … as far as there is room.
function months({ from, to }, width) {
  const most = Math.max(2, (width - AXIS) / 74);
  const step = [1, 2, 3, 4, 6, 12].find((months) => (to - from) / (30.4 * DAY * months) <= most) ?? 24;
  const first = new Date(from * 1000);
  const found = [];
  for (let month = Math.ceil((first.getUTCMonth() + 1) / step) * step; ; month += step) {
    const at = Date.UTC(first.getUTCFullYear(), month, 1) / 1000;
    if (at > to) return found;
    if (at >= from && at < to - (to - from) * 0.045) found.push(at);
  }
}

function nearest(points, at, within = 45 * DAY) {
  const close = points.filter((point) => Math.abs(point.at - at) <= within);
  return close.sort((one, other) => Math.abs(one.at - at) - Math.abs(other.at - at))[0];
}

// The doses as two stepped series over the days on which any begins or ends.
function steps(doses) {
  // A second after the last day of a dose nothing is given, unless another one has begun.
  const days = [...new Set(doses.flatMap((dose) => [dose.from, dose.to, dose.to + 1]))].sort((one, other) => one - other);
  const at = (day, drafts) => doses.findLast((dose) => (dose.state === "draft") === drafts && dose.from <= day && day <= dose.to)?.mg ?? null;
  return [days, days.map((day) => at(day, false)), days.map((day) => at(day, true))];
}

// One label for a run of equal doses; the draft has its own.
function labelled(doses) {
  const runs = [];
  for (const dose of doses) {
    const last = runs.at(-1);
    if (last && last.label === dose.label && last.state !== "draft" && dose.state !== "draft") last.to = dose.to;
    else runs.push({ ...dose });
  }
  return runs;
}

// --- On the canvas ---

const scale = (chart) => chart.ctx.canvas.width / chart.width;
const x = (chart, seconds) => chart.valToPos(seconds, "x", true);
const y = (chart, value) => chart.valToPos(value, "y", true);

function clipped(chart, paint) {
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  paint();
  ctx.restore();
}

function shade(chart, told) {
  clipped(chart, () => {
    for (const hold of told.holds) band(chart, hold, "#e9eeee", dots);
    for (const episode of told.episodes) band(chart, episode, "#fbe9e7", stripes);
  });
}

function band(chart, { from, to }, colour, pattern) {
  const { ctx, bbox } = chart;
  const left = x(chart, from);
  const width = Math.max(x(chart, to) - left, 2 * scale(chart));
  ctx.fillStyle = colour;
  ctx.fillRect(left, bbox.top, width, bbox.height);
  ctx.fillStyle = ctx.createPattern(pattern(scale(chart)), "repeat");
  ctx.fillRect(left, bbox.top, width, bbox.height);
}

function tile(size, paint) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = Math.round(size);
  paint(canvas.getContext("2d"), canvas.width);
  return canvas;
}

const stripes = (by) => tile(8 * by, (ctx, size) => {
  ctx.strokeStyle = "#dea29d";
  ctx.lineWidth = by;
  for (const shift of [-size, 0, size]) {
    ctx.beginPath();
    ctx.moveTo(shift, size);
    ctx.lineTo(shift + size, 0);
    ctx.stroke();
  }
});
const dots = (by) => tile(7 * by, (ctx, size) => {
  ctx.fillStyle = "#a9b8ba";
  ctx.beginPath();
  ctx.arc(size / 2, size / 2, by * 0.9, 0, 7);
  ctx.fill();
});

const DASHES = { hold: [], resume: [2, 3], cap: [6, 3] };

function drawLine(chart, line) {
  const { ctx, bbox } = chart;
  const by = scale(chart);
  const at = y(chart, line.value);
  ctx.strokeStyle = line.kind === "hold" ? ALARM : QUIET;
  ctx.lineWidth = by * 1.2;
  ctx.setLineDash(DASHES[line.kind].map((length) => length * by));
  ctx.beginPath();
  ctx.moveTo(bbox.left, at);
  ctx.lineTo(bbox.left + bbox.width, at);
  ctx.stroke();
  ctx.setLineDash([]);
  // A cap is for what lies below its line; below the line of a count there is no room.
  written(chart, line.label, bbox.left + 4 * by, line.kind === "cap" ? at + 11 * by : at - 3 * by, line.kind === "hold" ? ALARM : QUIET);
}

function drawPoint(chart, point) {
  const { ctx } = chart;
  const by = scale(chart);
  const [left, top] = [x(chart, point.at), y(chart, point.value)];
  ctx.beginPath();
  if (point.low) {
    ctx.fillStyle = ALARM;
    ctx.rect(left - 3.6 * by, top - 3.6 * by, 7.2 * by, 7.2 * by);
  } else {
    ctx.fillStyle = "#fff";
    ctx.arc(left, top, 2.6 * by, 0, 7);
  }
  ctx.strokeStyle = point.low ? ALARM : INK;
  ctx.lineWidth = 1.3 * by;
  ctx.fill();
  ctx.stroke();
}

function now(chart, seconds) {
  const { ctx, bbox } = chart;
  const by = scale(chart);
  ctx.strokeStyle = INK;
  ctx.lineWidth = by;
  ctx.beginPath();
  ctx.moveTo(x(chart, seconds), bbox.top);
  ctx.lineTo(x(chart, seconds), bbox.top + bbox.height);
  ctx.stroke();
}

function doseLabel(chart, dose) {
  const by = scale(chart);
  const short = dose.mg === null ? "?" : dose.label;
  const room = x(chart, dose.to) - x(chart, dose.from);
  chart.ctx.font = font(chart);
  const fits = chart.ctx.measureText(short).width < room + 60 * by;
  written(chart, fits ? short : short.split(" days")[0], x(chart, dose.from) + 2 * by, y(chart, dose.mg ?? 0) - 4 * by, INK, dose.state === "draft");
}

const SYMBOLS = { transplant: "✚", "test-negative": "○", "test-positive": "●", "test-unclear": "◐ ?", event: "◆" };

// A mark that would lie on the one before it goes a line lower.
function drawMarks(chart, marks) {
  const { bbox } = chart;
  const by = scale(chart);
  let [end, low] = [-Infinity, false];
  for (const mark of marks) {
    const named = mark.kind === "transplant" || mark.kind === "event";
    const left = x(chart, mark.at) - 4 * by;
    low = left < end && !low;
    const text = SYMBOLS[mark.kind] + (named ? ` ${mark.label}` : "");
    end = written(chart, text, left, bbox.top + (low ? 24 : 11) * by, mark.kind === "test-positive" || mark.kind === "test-unclear" ? ALARM : INK);
  }
}

const font = (chart) => `${11 * scale(chart)}px system-ui, sans-serif`;

// Text with a halo, so that it can be read over lines; it is moved to the left where it would be cut off.
function written(chart, text, left, base, colour, italic = false) {
  const { ctx, bbox } = chart;
  ctx.font = (italic ? "italic " : "") + font(chart);
  ctx.textBaseline = "alphabetic";
  ctx.textAlign = "left";
  const width = ctx.measureText(text).width;
  const from = Math.max(bbox.left + 2, Math.min(left, bbox.left + bbox.width - width - 2));
  ctx.lineJoin = "round";
  ctx.lineWidth = 3 * scale(chart);
  ctx.strokeStyle = "rgba(255, 255, 255, 0.85)";
  ctx.strokeText(text, from, base);
  ctx.fillStyle = colour;
  ctx.fillText(text, from, base);
  return from + width;
}
