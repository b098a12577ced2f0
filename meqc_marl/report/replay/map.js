// The maps: devices round the access point, told apart by colour and by shape.

const COLOURS = facts.colours, MISSED = "#D55E00", FOLLOWED = "#CC79A7";

function fit(canvas) {
  const ratio = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
  const width = Math.round(box.width * ratio), height = Math.round(box.height * ratio);
  if (canvas.width !== width || canvas.height !== height) { canvas.width = width; canvas.height = height; }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, box.width, box.height);
  return { pen, width: box.width, height: box.height };
}

// Local is a disc, the CPU a square, the QPU a diamond.
function shape(pen, mode, x, y, r) {
  pen.beginPath();
  if (mode === LOCAL) pen.arc(x, y, r, 0, 2 * Math.PI);
  else if (mode === CPU) pen.rect(x - r, y - r, 2 * r, 2 * r);
  else {
    const d = 1.35 * r;
    pen.moveTo(x, y - d); pen.lineTo(x + d, y); pen.lineTo(x, y + d); pen.lineTo(x - d, y); pen.closePath();
  }
}

function mark(pen, mode, x, y, r, missed) {
  shape(pen, mode, x, y, r);
  pen.fillStyle = COLOURS[mode];
  pen.fill();
  pen.lineWidth = r > 4 ? 1 : 0.5;
  pen.strokeStyle = "#000000";
  pen.stroke();
  if (missed) {
    const d = r + 3;
    pen.beginPath();
    pen.moveTo(x - d, y - d); pen.lineTo(x + d, y + d); pen.moveTo(x - d, y + d); pen.lineTo(x + d, y - d);
    for (const [wide, colour] of [[r > 4 ? 5 : 3, "#ffffff"], [r > 4 ? 2.2 : 1.6, MISSED]]) {
      pen.lineWidth = wide;
      pen.strokeStyle = colour;
      pen.stroke();
    }
  }
}

function scaleOf(width, height) {
  return { zoom: (Math.min(width, height) / 2 - 10) / facts.radius, cx: width / 2, cy: height / 2 };
}

function drawMap(canvas, policy, time, followed) {
  const { pen, width, height } = fit(canvas), { zoom, cx, cy } = scaleOf(width, height);
  const slot = Math.min(Math.floor(time), T - 1);
  pen.font = "11px system-ui, sans-serif";
  pen.textAlign = "left";
  for (const share of [1, 2, 3, 4]) {
    const r = (facts.radius * share) / 4;
    pen.beginPath();
    pen.setLineDash(share === 4 ? [] : [3, 4]);
    pen.lineWidth = 1;
    pen.strokeStyle = share === 4 ? "#555555" : "#bbbbbb";
    pen.arc(cx, cy, r * zoom, 0, 2 * Math.PI);
    pen.stroke();
    pen.fillStyle = "#555555";
    pen.fillText(number(r, r < 10 ? 1 : 0) + " m", cx + 3, cy - r * zoom + 12);
  }
  pen.setLineDash([]);
  const base = Math.max(2, Math.min(7, (0.22 * Math.min(width, height)) / Math.sqrt(M)));
  const flags = columns["flags" + policy].codes, fraction = columns["fraction" + policy].codes, first = slot * M;
  if (followed !== null && !isThere(slot, followed)) followed = null;
  if (followed !== null) trail(pen, time, followed, zoom, cx, cy);
  for (const late of [false, true]) {
    for (let m = 0; m < M; m++) {
      const what = flags[first + m];
      if ((what & AWAY) !== 0 || ((what & 4) !== 0) !== late) continue;
      const [x, y] = place(time, m);
      const r = base * (0.75 + (0.5 * fraction[first + m]) / 255);
      mark(pen, what & 3, cx + x * zoom, cy - y * zoom, r, late);
    }
  }
  pen.fillStyle = "#000000";
  pen.beginPath();
  pen.moveTo(cx, cy - 9); pen.lineTo(cx + 8, cy + 7); pen.lineTo(cx - 8, cy + 7); pen.closePath();
  pen.fill();
  pen.strokeStyle = "#ffffff";
  pen.lineWidth = 1.5;
  pen.stroke();
  if (followed !== null) {
    const [x, y] = place(time, followed), px = cx + x * zoom, py = cy - y * zoom, done = outcome(policy, slot, followed);
    mark(pen, done.mode, px, py, Math.max(base, 5) * 1.2, done.missed);
    pen.beginPath();
    pen.arc(px, py, Math.max(base, 5) * 1.2 + 6, 0, 2 * Math.PI);
    pen.lineWidth = 3;
    pen.strokeStyle = FOLLOWED;
    pen.stroke();
    const text = number(Math.hypot(x, y), 1) + " m";
    pen.font = "bold 12px system-ui, sans-serif";
    pen.textAlign = px > cx ? "right" : "left";
    const tx = px + (px > cx ? -16 : 16), ty = py + (py > cy ? -10 : 18);
    pen.lineWidth = 4;
    pen.strokeStyle = "#ffffff";
    pen.strokeText(text, tx, ty);
    pen.fillStyle = "#000000";
    pen.fillText(text, tx, ty);
  }
}

function trail(pen, time, device, zoom, cx, cy) {
  const [x, y] = place(time, device);
  pen.strokeStyle = FOLLOWED;
  pen.lineWidth = 1.5;
  pen.setLineDash([5, 4]);
  pen.beginPath();
  pen.moveTo(cx, cy);
  pen.lineTo(cx + x * zoom, cy - y * zoom);
  pen.stroke();
  pen.setLineDash([]);
  pen.beginPath();
  let started = false;
  for (let s = Math.max(0, Math.floor(time) - 30); s <= Math.floor(time); s++) {
    if (!isThere(s, device)) { started = false; continue; }
    const [a, b] = place(s, device);
    if (!started) pen.moveTo(cx + a * zoom, cy - b * zoom);
    started = true;
    pen.lineTo(cx + a * zoom, cy - b * zoom);
  }
  pen.lineTo(cx + x * zoom, cy - y * zoom);
  pen.lineWidth = 2;
  pen.stroke();
}

// The device that a click on a map means, if one is near.
function nearest(canvas, event, time) {
  const box = canvas.getBoundingClientRect(), { zoom, cx, cy } = scaleOf(box.width, box.height);
  const px = event.clientX - box.left, py = event.clientY - box.top;
  let best = null, least = 24 * 24;
  for (let m = 0; m < M; m++) {
    if (!isThere(Math.min(Math.floor(time), T - 1), m)) continue;
    const [x, y] = place(time, m);
    const d = (cx + x * zoom - px) ** 2 + (cy - y * zoom - py) ** 2;
    if (d < least) { least = d; best = m; }
  }
  return best;
}
