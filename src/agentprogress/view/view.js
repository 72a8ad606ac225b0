// The page's glue: which session this is, what a frame does to the state, and when the page is drawn.

const sessionPath = location.pathname.replace(/\/view\/?$/, "");
const view = { state: emptyState(), sessionId: sessionPath.split("/").pop(), welcomeStatus: null, producer: null, resultNote: "" };

view.follower = new Follower(location.origin + sessionPath, location.search, { frame: take, reset, change: draw });

function take(frame) {
  switch (frame.type) {
    case "welcome":
      view.sessionId = frame.session_id ?? view.sessionId;
      view.welcomeStatus = frame.status;
      view.producer = null;
      break;
    case "snapshot":
      view.state = stateFromSnapshot(frame.state, view.state);
      break;
    case "gap":
      addNote(view.state, `Events ${frame.missed_from} to ${frame.missed_to} are no longer kept; the rest is complete.`);
      break;
    case "heartbeat":
      view.producer = frame.producer;
      break;
    case "end":
      view.state.status = frame.status;
      fetchResult(view.state);
      break;
    default:
      fold(view.state, frame);
  }
}

function reset() {
  Object.assign(view, { state: emptyState(), resultNote: "" });
}

/** A result too large to travel in the stream has a route of its own. */
async function fetchResult(state) {
  const isInline = state.result !== null && state.result !== undefined;
  if (state.status !== "completed" || isInline || !state.result_bytes) return;
  view.resultNote = "Loading the result…";
  draw();
  try {
    const response = await fetch(view.follower.url("/result"));
    if (response.status !== 200) throw new Error((await problemOf(response)).message);
    state.result = await response.json();
    view.resultNote = "";
  } catch (error) {
    view.resultNote = `The result could not be loaded. ${error.message}`;
  }
  draw();
}

let isDrawPlanned = false;

/** At most once a frame; a hidden tab has no frames, but its title still tells how far it is. */
function draw() {
  if (isDrawPlanned) return;
  isDrawPlanned = true;
  const now = () => {
    isDrawPlanned = false;
    render();
  };
  if (document.hidden) setTimeout(now, 1000);
  else requestAnimationFrame(now);
}

byId("retry").addEventListener("click", () => view.follower.retryNow());
byId("result-download").addEventListener("click", () => {
  const isText = typeof view.state.result === "string";
  download(`${view.sessionId}-result.${isText ? "txt" : "json"}`, isText ? "text/plain" : "application/json", asText(view.state.result));
});
byId("log-latest").addEventListener("click", () => {
  logTail.isFollowing = true;
  logTail.settle();
  byId("log").focus();
});
byId("log").addEventListener("scroll", draw, { passive: true });
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) view.follower.wake(false);
  isDrawPlanned = false; // a frame planned before hiding comes only after it
  draw();
});
window.addEventListener("online", () => view.follower.wake(false));
window.addEventListener("pageshow", (event) => { if (event.persisted) view.follower.wake(true); });
setInterval(draw, 1000);
view.follower.start();
