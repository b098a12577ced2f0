// The curves over the slots, and where the followed device computed.

const LINES = { left: { colour: "#0072B2", dash: [] }, right: { colour: "#D55E00", dash: [7, 3] }, oracle: { colour: "#000000", dash: [2, 3] } };

function niceStep(span, count) {
  const raw = span / count, power = 10 ** Math.floor(Math.log10(raw));
  return [1, 2, 5, 10].map((f) => f * power).find((s) => s >= raw);
}

// Lines over slots, a cursor at the time, names at the top; a click leads there.
function drawChart(canvas, series, time) {
  const { pen, width, height } = fit(canvas), left = 46, right = 8, top = 22, bottom = 24;
  const shown = series.filter((s) => s.values.length > 0);
  let low = Infinity, high = -Infinity;
  for (const s of shown) for (const v of s.values) if (Number.isFinite(v)) { low = Math.min(low, v); high = Math.max(high, v); }
  if (!(high >= low)) { low = 0; high = 1; }
  if (high - low < 1e-9) { high += 0.5; low -= 0.5; }
  const pad = 0.06 * (high - low);
  low = low >= 0 && low < 0.4 * high ? 0 : low - pad;
  high += pad;
  const x = (t) => left + ((width - left - right) * t) / Math.max(1, T - 1);
  const y = (v) => top + (height - top - bottom) * (1 - (v - low) / (high - low));
  pen.font = "11px system-ui, sans-serif";
  pen.textAlign = "right";
  const step = niceStep(high - low, 6);
  for (let v = Math.ceil(low / step) * step; v <= high; v += step) {
    pen.fillStyle = "#555555";
    pen.fillText(number(v, Math.max(0, Math.min(3, -Math.floor(Math.log10(step))))), left - 5, y(v) + 4);
    pen.fillStyle = "#e2e2e2";
    pen.fillRect(left, y(v), width - left - right, 1);
  }
  pen.fillStyle = "#555555";
  pen.textAlign = "center";
  const across = Math.max(1, niceStep(T, 5));
  for (let t = 0; t < T; t += across) pen.fillText(String(t), x(t), height - 8);
  let at = left;
  pen.textAlign = "left";
  for (const s of shown) {
    pen.strokeStyle = s.colour;
    pen.setLineDash(s.dash);
    pen.lineWidth = 2;
    pen.beginPath();
    s.values.forEach((v, t) => (t === 0 ? pen.moveTo(x(t), y(v)) : pen.lineTo(x(t), y(v))));
    pen.stroke();
    pen.beginPath();
    pen.moveTo(at, 10); pen.lineTo(at + 22, 10);
    pen.stroke();
    pen.setLineDash([]);
    pen.fillStyle = "#1a1a1a";
    pen.fillText(s.name, at + 26, 14);
    at += 26 + pen.measureText(s.name).width + 14;
  }
  pen.fillStyle = "#555555";
  pen.fillRect(x(Math.min(time, T - 1)) - 0.5, top, 1, height - top - bottom);
}

function chartTime(canvas, event) {
  const box = canvas.getBoundingClientRect();
  return Math.round(((event.clientX - box.left - 46) / (box.width - 54)) * (T - 1));
}

// A cell for each slot: the mode's colour, the taller the more is sent; a missed deadline is marked below.
function drawStrip(canvas, policy, device, time) {
  const { pen, width, height } = fit(canvas), cell = width / T;
  for (let t = 0; t < T; t++) {
    const flags = columns["flags" + policy].codes[t * M + device], mode = flags & 3;
    if (flags & AWAY) continue;
    const tall = (height - 4) * (mode === LOCAL ? 0.25 : 0.25 + 0.75 * value("fraction" + policy, t, device));
    pen.fillStyle = COLOURS[mode];
    pen.fillRect(t * cell, height - 4 - tall, Math.max(cell, 0.6), tall);
    if (flags & 4) { pen.fillStyle = MISSED; pen.fillRect(t * cell, height - 4, Math.max(cell, 1.5), 4); }
  }
  pen.fillStyle = "#000000";
  pen.fillRect((Math.min(time, T - 1) + 0.5) * cell - 1, 0, 2, height);
}
