// Chooses the view by the address after #, and keeps the line at the top up to date.
import { get, post, Refused } from "./api.js";
import { h } from "./dom.js";
import { now } from "./now.js";
import { run } from "./run.js";
import { kept, runs, triages } from "./runs.js";
import { schedules, spend } from "./reports.js";

const VIEWS = { "": now, runs, run, triages, schedules, spend, kept };
const main = document.querySelector("#main");
let leaving = new AbortController();

async function show() {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  for (const link of document.querySelectorAll("nav a")) {
    const is = link.getAttribute("href") === `#/${name === "run" ? "runs" : name}`;
    is ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  }
  const view = VIEWS[name] || now;
  const draw = (...children) => signal.aborted || main.replaceChildren(...children);
  try {
    await view(draw, signal, decodeURIComponent(rest.join("/")));
  } catch (error) {
    if (!signal.aborted) draw(failure(error));
  }
}

function failure(error) {
  const words = error instanceof Refused ? error.message : "The service does not answer. Is it running?";
  return h("div", { class: "problem" }, h("p", {}, words), h("button", { onclick: show }, "Try again"));
}

async function keepState() {
  const state = document.querySelector("#state"), button = document.querySelector("#switch");
  try {
    const health = await (await fetch("/health")).json();
    const { agents, free } = health.capacity, isPaused = (health.paused || []).includes("agents");
    state.textContent = isPaused ? "paused" : `${agents - free} of ${agents} slots in use`;
    button.hidden = false;
    button.textContent = isPaused ? "Resume" : "Pause";
    button.title = isPaused ? "Start agents again" : "Start no more agents; jobs can still be queued";
    button.onclick = async () => {
      button.disabled = true;
      await post(isPaused ? "/resume" : "/pause").catch((error) => alert(error.message));
      button.disabled = false;
      await keepState();
      show();
    };
  } catch {
    state.textContent = "no answer from the service";
  }
}

addEventListener("hashchange", () => { show(); main.focus(); });
show();
keepState();
setInterval(keepState, 5000);
