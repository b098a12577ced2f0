"use strict";
// The data of the page: what a policy did in every slot, as quantised columns in one compressed block.

const facts = JSON.parse(document.getElementById("facts-json").textContent);
const T = facts.slots, M = facts.devices;
const AWAY = 32; // of the flags: the device is not there
const LOCAL = 0, CPU = 1, QPU = 2;
const MODES = ["local", "CPU", "QPU"];
const columns = {}, places = {};

async function unpack() {
  const packed = Uint8Array.from(atob(document.getElementById("blob").textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const buffer = await new Response(stream).arrayBuffer();
  for (const [name, about] of Object.entries(facts.columns)) {
    const codes = about.bytes === 2
      ? new Uint16Array(buffer, about.offset, T * M) : new Uint8Array(buffer, about.offset, T * M);
    columns[name] = { codes, about };
  }
  for (const axis of ["x", "y"]) places[axis] = Float32Array.from(columns[axis].codes, (_, i) => value(axis, 0, i));
}

// A value of a column: on a line between two ends, or on the logarithm of one plus it.
function value(name, slot, device) {
  const { codes, about } = columns[name];
  const share = codes[slot * M + device] / about.steps;
  return about.log ? Math.expm1(about.low + share * (about.high - about.low))
    : about.low + share * (about.high - about.low);
}

function outcome(policy, slot, device) {
  const flags = columns["flags" + policy].codes[slot * M + device];
  return {
    mode: flags & 3,
    missed: (flags & 4) !== 0,
    feasible: (flags & 8) !== 0,
    rejected: (flags & 16) !== 0,
    away: (flags & AWAY) !== 0,
    fraction: value("fraction" + policy, slot, device),
    cost: value("cost" + policy, slot, device),
    latency: value("latency" + policy, slot, device),
    backlog: value("backlog" + policy, slot, device),
  };
}

// Whether a device is there in a slot; of all policies alike.
function isThere(slot, device) { return (columns.flags0.codes[slot * M + device] & AWAY) === 0; }

// Where a device is between two slots; who has gone by the next stays till then.
function place(time, device) {
  const slot = Math.min(Math.floor(time), T - 1), part = time - slot, at = slot * M + device;
  const next = slot + 1 < T && isThere(slot + 1, device) ? at + M : at, { x, y } = places;
  return [x[at] + part * (x[next] - x[at]), y[at] + part * (y[next] - y[at])];
}

function number(x, digits = 2) {
  if (!Number.isFinite(x)) return "none";
  return Math.abs(x) >= 1e5 ? x.toExponential(1) : x.toFixed(Math.abs(x) >= 1000 ? 0 : digits);
}
