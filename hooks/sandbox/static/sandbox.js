// The page as a record system: it holds one request, sends it to the service, and shows what comes back.
// The request is kept as text, so that what is sent is exactly what was shown. Markup comes from the server.

import { placeOf } from "./places.js";
import { drawTimeline } from "./timeline.js";

const $ = (id) => document.getElementById(id);
const ALWAYS = ["banner", "controls", "order", "cards"];
const TABS = ["why", "protocols", "results", "exchange", "case"];
const narrow = matchMedia("(max-width: 56rem)");

// `request` is the text that was judged; what is typed over it in the text box is not, until it is sent.
const NOTHING_DONE = { earlier: "", overridden: {}, accepted: [] };
const state = {
  story: "", title: "", file: null, tab: "why", service: "", request: "", response: "", status: 0, stages: "", ...NOTHING_DONE,
};

// --- Calls ---

async function call(url, options) {
  try {
    const response = await fetch(url, options);
    return { status: response.status, text: await response.text(), headers: response.headers };
  } catch {
    throw new Error("The service did not answer. What stands here is as it was before.");
  }
}

function post(url, body) {
  const headers = { "Content-Type": "application/json" };
  return call(url, { method: "POST", headers, body: typeof body === "string" ? body : JSON.stringify(body) });
}

async function ask(path, body) {
  const { status, text } = body ? await post(path, body) : await call(path);
  const document = JSON.parse(text);
  if (status !== 200) throw new Error(document.issue?.[0]?.diagnostics ?? `status ${status}`);
  return document;
}

// --- One thing after the other ---

let queue = Promise.resolve();
let waiting = 0;

// What goes wrong is told, and what is on the screen stays. The page is ready when nothing is under way.
function carefully(work) {
  return (...given) => {
    waiting += 1;
    document.body.removeAttribute("data-ready");
    queue = queue.then(() => work(...given)).catch(fail).then(() => {
      waiting -= 1;
      if (!waiting) document.body.setAttribute("data-ready", "");
    });
  };
}

function fail(error) {
  restore();
  tell("wrong", error.message);
}

// --- The request on the screen ---

// `fresh` is what else is known once the service has answered: another patient, say.
async function show(request, service, fresh = {}) {
  const typed = $("request").value;
  const called = await post(`/cds-services/${service}`, request);
  const next = {
    ...state, ...fresh, ...(request.includes('"draftOrders"') ? { earlier: request } : {}),
    service, request, response: called.text, status: called.status, stages: called.headers.get("Server-Timing") ?? "",
  };
  const panels = [...ALWAYS, state.tab];
  const view = await look(next, panels);
  Object.assign(state, next);
  if ($("request").value === typed) $("request").value = request;
  noteUnsent();
  await paint(view, panels);
  mark();
  hear();
}

function look({ request, response, status, stages, overridden, accepted }, panels) {
  return ask("/sandbox/view", { request, response, status, stages, overridden, accepted, panels });
}

async function draw(panels) {
  await paint(await look(state, panels), panels);
}

async function paint(view, panels) {
  const focused = document.activeElement?.id;
  for (const [name, html] of Object.entries(view.panels)) put(name, html);
  if (panels.includes("cards")) {
    if (view.timeline) drawTimeline($("timeline"), view.timeline);
    else $("timeline").replaceChildren();
  }
  if (focused && document.activeElement?.id !== focused) $(focused)?.focus({ preventScroll: true });
  if (panels.includes("exchange")) await draw(["lint"]);
}

// What is drawn already stays, with what is being typed into it.
const drawn = new Map();
function put(name, html) {
  if (drawn.get(name) !== html) $(name).innerHTML = html;
  drawn.set(name, html);
}

// What was chosen and could not be done is not to stand there as if it had been.
function restore() {
  for (const [name, html] of drawn) $(name).innerHTML = html;
}

// A change of the request, as it stands in the text box; one that is refused leaves everything as it was.
function edited(wanted) {
  const { response, status, earlier } = state;
  return ask("/sandbox/edit", { request: $("request").value, response, status, change: { ...wanted, earlier } });
}

async function change(wanted) {
  const made = await edited(wanted);
  await show(made.request, made.service);
}

async function pick(name, { remembered = false } = {}) {
  const story = await ask(`/sandbox/stories/${name}`);
  const title = document.querySelector(`[data-story="${CSS.escape(name)}"] b`).textContent;
  await show(story.request, story.service, { ...NOTHING_DONE, story: name, title, file: null });
  if (!remembered) remember("pushState");
}

async function open(file) {
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(await file.arrayBuffer());
  } catch {
    throw new Error(`${file.name} is not text in UTF-8, so it is no request and no Bundle.`);
  }
  const made = await ask("/sandbox/open", { text });
  await show(made.request, made.service, { ...NOTHING_DONE, story: "", title: file.name, file });
  remember("pushState");
  tell("said", `${file.name} is open.`);
  if (state.status !== 200) await choose("exchange");
}

// In the list, who is on the screen.
function mark() {
  $("chosen-title").textContent = state.title;
  for (const button of document.querySelectorAll("[data-story]")) {
    if (button.dataset.story === state.story) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}

function noteUnsent() {
  $("unsent").hidden = $("request").value === state.request;
}

// --- The cards ---

async function accept(button) {
  const card = button.closest("[data-card]");
  const [uuid, suggestion, label] = [card.dataset.card, button.dataset.accept, button.textContent];
  const made = await edited({ kind: "accept", card: uuid, suggestion });
  await feedback(uuid, { outcome: "accepted", acceptedSuggestions: [{ id: suggestion }] });
  // What only adds an order leaves its card standing: it is not to be ordered twice.
  if (button.dataset.adds) state.accepted.push(suggestion);
  await show(made.request, made.service);
  tell("said", `Accepted: ${label}. The order was judged again; feedback was recorded.`);
  $("desk").focus({ preventScroll: true });
}

async function override(form) {
  const card = form.closest("[data-card]");
  const option = form.reason.selectedOptions[0];
  const comment = form.comment.value.trim();
  const reason = { code: option.value, system: option.dataset.system };
  await feedback(card.dataset.card, { outcome: "overridden", overrideReason: comment ? { reason, userComment: comment } : { reason } });
  if (card.dataset.decision) state.overridden[card.dataset.decision] = [option.textContent, comment].filter(Boolean).join(": ");
  await draw(["cards"]);
  tell("said", `Overridden: ${option.textContent}. Feedback was recorded; the same advice stays overridden at the next hook.`);
  $("desk").focus({ preventScroll: true });
}

async function feedback(card, told) {
  const entry = { card, outcomeTimestamp: new Date().toISOString(), ...told };
  const answer = await post(`/cds-services/${state.service}/feedback`, { feedback: [entry] });
  if (answer.status !== 200) throw new Error(`The feedback was not recorded: ${answer.text}`);
}

// --- Tabs, places, copies ---

async function choose(name, { focus = false, remembered = false } = {}) {
  state.tab = name;
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const chosen = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    if (chosen && focus) tab.focus();
    $(tab.getAttribute("aria-controls")).hidden = !chosen;
  }
  if (!remembered) remember("replaceState");
  if (state.status) await draw([name]);
  if (name === "exchange" && !$("discovery").textContent) {
    $("discovery").textContent = JSON.stringify(await ask("/cds-services"), null, 1);
  }
}

async function find(place) {
  await choose("exchange");
  const box = $("request");
  const { at: [from, to], exact } = placeOf(box.value, place);
  const lines = box.value.split("\n").length;
  const line = box.value.slice(0, from).split("\n").length;
  box.focus({ preventScroll: true });
  box.setSelectionRange(from, to);
  const column = from - box.value.lastIndexOf("\n", from - 1);
  const widest = Math.max(1, ...box.value.split("\n").map((one) => one.length));
  box.scrollLeft = Math.max(0, (column - 20) * (box.scrollWidth / widest));
  box.scrollTop = Math.max(0, (line - 5) * (box.scrollHeight / lines));
  box.scrollIntoView({ block: "center" });
  tell("said", exact ? `${place}: line ${line}` : `${place} is missing; it would belong here, line ${line}`);
}

async function copy(text) {
  await navigator.clipboard.writeText(text);
  tell("said", "Copied.");
}

// As a here-document: an argument of a command cannot be as long as a request.
function curl() {
  const url = `${location.origin}/cds-services/${state.service}`;
  return `curl -sS -X POST -H 'Content-Type: application/json' '${url}' --data-binary @- <<'REQUEST'\n${$("request").value}\nREQUEST\n`;
}

function save(text, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text]));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

function remember(how) {
  const { story, tab } = state;
  history[how](null, "", `?${new URLSearchParams(story ? { patient: story, tab } : { tab })}`);
}

// --- Words ---

let fading = 0;

function tell(where, words) {
  clearTimeout(fading);
  $("said").textContent = "";
  $("wrong").textContent = "";
  $(where).textContent = words;
  if (where === "said") fading = setTimeout(() => { $("said").textContent = ""; }, 8000);
}

// For who does not see the cards change.
function hear() {
  const headlines = [...document.querySelectorAll("#cards article")].map((card) =>
    `${card.querySelector(".indicator").lastChild.textContent.trim()}: ${card.querySelector("h3").textContent}`);
  const told = state.status === 200 ? headlines.join(". ") || "no card" : `refused with status ${state.status}`;
  $("heard").textContent = `${$("banner").querySelector("h2")?.textContent ?? state.title}: ${told}`;
}

// --- What the visitor does ---

const CLICKS = {
  "[data-story]": async (button) => {
    $("patient-list").open = !narrow.matches;
    await pick(button.dataset.story);
    if (!narrow.matches) return;
    $("banner").scrollIntoView();
    $("banner").focus({ preventScroll: true });
  },
  "#start-over": () => (state.file ? open(state.file) : pick(state.story)),
  "[data-accept]": accept,
  "[data-find]": (button) => find(button.dataset.find),
  "[data-go]": (button) => choose(button.dataset.go, { focus: true }),
  "[role=tab]": (button) => choose(button.id.slice("tab-".length)),
  "[data-edit=renew]": async () => {
    await change({ kind: "renew" });
    $("desk").focus({ preventScroll: true });
  },
  "[data-days]": (button) => {
    const moved = new Date(`${$("now").value}Z`);
    moved.setUTCDate(moved.getUTCDate() + Number(button.dataset.days));
    return change({ kind: "circumstances", now: moved.toISOString().slice(0, 16) });
  },
  "[data-now]": async (button) => {
    await change({ kind: "circumstances", now: button.dataset.now });
    $("now").focus({ preventScroll: true });
  },
  "#send": async () => {
    const made = await ask("/sandbox/open", { text: $("request").value });
    await show(made.request, made.service, NOTHING_DONE);
    tell("said", "Sent.");
  },
  "#copy-curl": () => copy(curl()),
  "#copy-request": () => copy($("request").value),
  "#save-request": () => save($("request").value, "request.json"),
  "#copy-case": () => copy($("case-text").textContent),
  "#save-case": () => save($("case-text").textContent, "case.yaml"),
};

// Only what was changed, as it was chosen when it happened, whatever is drawn until its turn comes.
function field(input) {
  const { edit, ...place } = input.closest("[data-edit]").dataset;
  return { kind: edit, ...place, [input.name]: input.value };
}

const changed = carefully(async (wanted) => {
  tell("said", "");
  await change(wanted);
});

document.addEventListener("click", (event) => {
  for (const [selector, act] of Object.entries(CLICKS)) {
    const found = event.target.closest(selector);
    if (!found) continue;
    // A second click of the same haste is none.
    if (selector === "[data-accept]") found.disabled = true;
    return carefully(async () => {
      tell("said", "");
      await act(found);
    })();
  }
});

// A date is being typed as long as the field has the focus: each digit makes a date, but not the one that is meant.
const IS_TYPED = "input[type=date], input[type=datetime-local]";
let typed = null;

function commit(input) {
  typed = null;
  if (input.isConnected) changed(field(input));
}

document.addEventListener("change", (event) => {
  const { target } = event;
  if (target.id === "file" && target.files.length) {
    const [file] = target.files;
    carefully(open)(file);
    target.value = "";
  } else if (target.matches(IS_TYPED)) typed = target;
  else if (target.closest("[data-edit]")) commit(target);
});
document.addEventListener("focusout", (event) => {
  if (event.target === typed) commit(typed);
});
document.addEventListener("input", (event) => {
  if (event.target.id === "request") noteUnsent();
});
document.addEventListener("submit", (event) => {
  event.preventDefault();
  if (event.target.matches("[data-override]")) carefully(override)(event.target);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target === typed) commit(typed);
  const tab = event.target.closest("[role=tab]");
  if (!tab) return;
  const at = TABS.indexOf(tab.id.slice("tab-".length));
  const next = { ArrowRight: at + 1, ArrowLeft: at - 1 + TABS.length, Home: 0, End: TABS.length - 1 }[event.key];
  if (next !== undefined) carefully(choose)(TABS[next % TABS.length], { focus: true });
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
  });
}
document.addEventListener("drop", (event) => {
  const [file] = event.dataTransfer.files;
  if (file) carefully(open)(file);
});
narrow.addEventListener("change", () => { $("patient-list").open = !narrow.matches; });

// The patient and the tab that the address names, else the first ones.
const arrive = carefully(async () => {
  const asked = new URLSearchParams(location.search);
  const [wanted, tab] = [asked.get("patient") ?? "", asked.get("tab")];
  if (TABS.includes(tab) && tab !== state.tab) await choose(tab, { remembered: true });
  await pick(document.querySelector(`[data-story="${CSS.escape(wanted)}"]`) ? wanted : document.body.dataset.first, { remembered: true });
});
addEventListener("popstate", arrive);
$("patient-list").open = !narrow.matches;
arrive();
