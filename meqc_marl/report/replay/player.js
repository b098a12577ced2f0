// The player: what is shown, how it moves on, and what the keys do.

const state = { time: 0, playing: false, speed: 5, followed: null, left: 0, right: Math.min(1, facts.policies.length - 1), last: null };
const by = (id) => document.getElementById(id);
const WAITS = facts.queued ? ["cpu_wait", "qpu_wait"] : [];
let waiting = false;

function redraw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame((now) => { waiting = false; frame(now); });
}

function frame(now) {
  if (state.playing) {
    if (state.last !== null) state.time += ((now - state.last) / 1000) * state.speed;
    state.last = now;
    if (state.time >= T - 1) { state.time = T - 1; pause(); }
  }
  draw();
  if (state.playing) redraw();
}

const slotNow = () => Math.min(Math.floor(state.time), T - 1);

function draw() {
  const slot = slotNow();
  by("time").value = String(slot);
  by("slot").textContent = `slot ${slot} of ${T}`;
  for (const side of ["left", "right"]) {
    const policy = state[side], curve = facts.curves[policy];
    by(side).querySelector(".stats").textContent =
      `cost ${number(curve.cost[slot])}, so far ${number(curve.running[slot])}; ` +
      `sent ${number(100 * curve.fraction[slot], 0)} %; deadlines missed ${curve.missed[slot]} of ${curve.there[slot]}`;
    drawMap(by(side).querySelector("canvas"), policy, state.time, state.followed);
  }
  drawFollowed(slot);
  drawCurves();
  Object.assign(document.body.dataset, {
    slot, playing: state.playing, device: state.followed ?? "", left: state.left, right: state.right,
    frames: Number(document.body.dataset.frames || 0) + 1,
  });
}

function series(read) {
  const chosen = [["left", state.left], ["right", state.right]].filter(([s, p]) => s === "left" || p !== state.left);
  if (!chosen.some(([, p]) => p === facts.oracle)) chosen.push(["oracle", facts.oracle]);
  return chosen.map(([side, policy]) => ({ name: facts.policies[policy], values: read(policy), ...LINES[side] }));
}

function drawCurves() {
  drawChart(by("cost"), series((p) => facts.curves[p].running), state.time);
  drawChart(by("excess"), series((p) => facts.curves[p].excess), state.time);
  const m = state.followed;
  by("queuecaption").textContent = m === null ? "virtual queue, mean over the devices" : `virtual queue of device ${m}`;
  for (const id of WAITS) drawChart(by(id), series((p) => facts.curves[p][id]), state.time);
  drawChart(by("queue"), series((p) => (m === null ? facts.curves[p].backlog : backlogOf(p, m))), state.time);
}

const known = {};
function backlogOf(policy, device) {
  const key = policy + "/" + device;
  return (known[key] ??= Array.from({ length: T }, (_, t) => value("backlog" + policy, t, device)));
}

function drawFollowed(slot) {
  const m = state.followed;
  by("follow").hidden = m === null;
  if (m === null) return;
  const [x, y] = place(slot, m), there = isThere(slot, m);
  by("who").textContent = !there ? `device ${m} is not there in this slot` : `device ${m}: ${number(Math.hypot(x, y), 1)} m away, task of ` +
    `${number(value("data", slot, m) / 8e6, 0)} MB, deadline ${number(value("deadline", slot, m), 1)} s`;
  const shown = [...new Set([state.left, state.right])];
  by("facts").replaceChildren(...(there ? shown : []).map((policy) => {
    const done = outcome(policy, slot, m), row = document.createElement("tr");
    const cells = [facts.policies[policy], MODES[done.mode] + (done.rejected ? " (QPU refused)" : ""),
      number(100 * done.fraction, 0) + " %", number(done.latency) + " s" + (done.missed ? (done.feasible ? " missed" : " missed, as it must") : ""),
      number(done.cost), number(done.backlog)];
    cells.forEach((text, i) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      if (i === 3 && done.missed) cell.className = "missed";
      row.append(cell);
    });
    return row;
  }));
  const strips = by("strips");
  while (strips.children.length > 2 * shown.length) strips.lastChild.remove();
  while (strips.children.length < 2 * shown.length) strips.append(document.createElement("p"), document.createElement("canvas"));
  shown.forEach((policy, i) => {
    strips.children[2 * i].textContent = `${facts.policies[policy]}: where it computed, slot by slot; taller: more is sent; below: deadline missed`;
    drawStrip(strips.children[2 * i + 1], policy, m, state.time);
  });
}

function pause() { state.playing = false; state.last = null; showPlaying(); }
function toggle() {
  if (state.playing) pause();
  else {
    if (state.time >= T - 1) state.time = 0;
    state.playing = true; state.last = null; showPlaying();
  }
  redraw();
}
function showPlaying() {
  by("play").textContent = state.playing ? "❚❚ pause" : "▶ play";
  by("play").setAttribute("aria-label", state.playing ? "pause" : "play");
}
function go(slot) { state.time = Math.max(0, Math.min(T - 1, slot)); redraw(); }
function follow(device) { state.followed = device; by("device").value = device === null ? "" : String(device); redraw(); }

function onKey(event) {
  const own = event.target.tagName === "SELECT" || event.ctrlKey || event.metaKey || event.altKey;
  if (own) return;
  const far = event.shiftKey ? 10 : 1, m = state.followed;
  const keys = {
    ArrowLeft: () => go(slotNow() - far), ArrowRight: () => go(slotNow() + far), Home: () => go(0), End: () => go(T - 1),
    ArrowUp: () => follow(m === null ? 0 : (m + 1) % M), ArrowDown: () => follow(m === null ? M - 1 : (m + M - 1) % M),
    Escape: () => follow(null), " ": toggle,
  };
  if (!(event.key in keys)) return;
  event.preventDefault();
  keys[event.key]();
}

function legend() {
  const entries = [[LOCAL, "local"], [CPU, "server CPU"], [QPU, "QPU"], [null, "deadline missed"]];
  for (const [mode, text] of entries) {
    const item = document.createElement("li"), canvas = document.createElement("canvas");
    item.append(canvas, text);
    by("legend").append(item);
    const { pen } = fit(canvas);
    mark(pen, mode ?? LOCAL, 10, 10, 5, mode === null);
  }
  const item = document.createElement("li");
  item.textContent = "larger: more of the task is sent away; rings: distance to the access point";
  by("legend").append(item);
}

function options(select, names, chosen) {
  select.replaceChildren(...names.map(([value, text]) => new Option(text, value, false, value === String(chosen))));
}

async function start() {
  try {
    await unpack();
  } catch (error) {
    by("about").textContent = "This browser cannot unpack the page's data: " + error;
    throw error;
  }
  by("title").textContent = facts.title;
  by("about").textContent = facts.about;
  by("time").max = String(T - 1);
  options(by("device"), [["", "none"], ...Array.from({ length: M }, (_, m) => [String(m), String(m)])], "");
  for (const side of ["left", "right"]) {
    const select = by(side).querySelector("select"), canvas = by(side).querySelector("canvas");
    options(select, facts.policies.map((name, i) => [String(i), name]), state[side]);
    select.onchange = () => { state[side] = Number(select.value); redraw(); };
    canvas.onclick = (event) => follow(nearest(canvas, event, state.time));
  }
  for (const id of WAITS) by(id).parentElement.hidden = false;
  for (const id of ["cost", "excess", "queue", ...WAITS]) by(id).onclick = (event) => go(chartTime(by(id), event));
  by("play").onclick = toggle;
  by("play").onkeyup = (event) => event.preventDefault();
  by("back").onclick = () => go(slotNow() - 1);
  by("forward").onclick = () => go(slotNow() + 1);
  by("time").oninput = () => go(Number(by("time").value));
  by("speed").onchange = () => { state.speed = Number(by("speed").value); };
  by("device").onchange = () => follow(by("device").value === "" ? null : Number(by("device").value));
  document.addEventListener("keydown", onKey);
  new ResizeObserver(redraw).observe(document.body);
  legend();
  document.body.dataset.ready = "true";
  redraw();
}
start();
