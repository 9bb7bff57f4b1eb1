"use strict";
const COLOURS = ["#2b7bba", "#d9730d", "#2f9e5b", "#c2487f", "#8a6fd1", "#b08a00", "#1aa3a3", "#c8463d", "#6b8e23", "#7a7f87"];
const FEWEST_SMOOTHED = 30;      // A curve of fewer points, such as that of an evaluation, is drawn as it is.
const SCHEDULED = /\/lr\b/;      // Rates are what the file says.
const byId = id => document.getElementById(id);
let data = JSON.parse(byId("data").textContent);
const hidden = new Set();        // Names of runs that are not shown.
const charts = new Map();        // The name of a number to its chart.
let sorted = null, range = null, chosen = null, at = Infinity;

// An element. Text is never read as HTML.
function element(tag, options = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, part] of Object.entries(value)) made.style.setProperty(key, part);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter(child => child !== null && child !== undefined && child !== ""));
  return made;
}
const colour = index => COLOURS[index % COLOURS.length];
const isDashed = index => Math.floor(index / COLOURS.length) % 2 === 1;
const swatch = index => element("span", {class: isDashed(index) ? "swatch dashed" : "swatch", style: {"--colour": colour(index)}});
const shown = () => data.runs.map((run, index) => [run, index]).filter(([run]) => !hidden.has(run.name));
const number = value => value === null || value === undefined ? "" : typeof value === "string" ? value
  : Number.isInteger(value) && Math.abs(value) < 1e6 ? String(value) : String(Number(value.toPrecision(4)));
const counted = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

function duration(seconds) {
  const whole = Math.round(seconds), two = part => String(part).padStart(2, "0");
  if (whole < 60) return `${seconds < 10 ? Number(seconds.toPrecision(2)) : whole} s`;
  const minutes = Math.floor(whole / 60) % 60, hours = Math.floor(whole / 3600);
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)} h` : `${minutes}:${two(whole % 60)} min`;
}

// New children, with the focus where it was.
function refill(section, ...children) {
  const all = () => [...section.querySelectorAll("input, button, select, summary")];
  const focused = all().indexOf(document.activeElement);
  section.replaceChildren(...children);
  if (focused >= 0) all()[focused]?.focus();
}

function table(head, rows, options = {}) {
  return element("div", {class: "card scroll fit"}, element("table", options,
    element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)));
}

// Runs.
function drawRuns() {
  const section = byId("runs");
  if (!data.runs.length) {
    section.replaceChildren(element("div", {class: "card empty"}, "There are no runs in these folders yet."));
    return;
  }
  const left = data.runs.some(run => run.secondsLeft !== null) ? ["left"] : [];
  const toggle = event => { data.runs.forEach(run => event.target.checked ? hidden.delete(run.name) : hidden.add(run.name)); drawAll(); };
  const all = element("input", {type: "checkbox", checked: !hidden.size, "aria-label": "show all runs", onchange: toggle});
  const head = ["run", "state", "iterations", "speed", ...left, "best metric", "size"].map(name =>
    element("th", {class: ["speed", "left", "size"].includes(name) ? "number" : ""}, name === "run" ? element("label", {class: "run-name"}, all, "run") : name));
  const made = table(head, data.runs.map((run, index) => runRow(run, index, left.length)));
  made.classList.remove("fit");
  refill(section, made);
}

function runRow(run, index, hasLeft) {
  const box = element("input", {type: "checkbox", checked: !hidden.has(run.name), "aria-label": `show ${run.name}`,
    onchange: event => { event.target.checked ? hidden.delete(run.name) : hidden.add(run.name); drawAll(); }});
  const incidents = run.incidents.length && !run.detail ? element("div", {class: "fault"}, counted(run.incidents.length, "incident")) : "";
  const share = run.iterations ? element("progress", {max: run.iterations, value: run.iteration, "aria-label": "progress"}) : "";
  return element("tr", {},
    element("td", {class: "name"}, element("label", {class: "run-name"}, box, swatch(index), run.name)),
    element("td", {}, element("span", {class: `state ${run.state}`}, run.state)),
    element("td", {}, run.words.progress, share),
    element("td", {class: "number"}, run.words.pace),
    hasLeft ? element("td", {class: "number"}, run.secondsLeft === null ? "" : duration(run.secondsLeft)) : "",
    element("td", {class: "wide"}, run.words.best, run.detail ? element("div", {class: "fault"}, run.detail) : incidents),
    element("td", {class: "number"}, run.words.size));
}

// Curves.
function names() {
  const found = new Map();
  shown().forEach(([run]) => Object.keys(run.curves).forEach(name => found.set(name, run.evaluations.includes(name) || found.get(name))));
  const text = byId("find").value.trim().toLowerCase();
  const kept = [...found.keys()].filter(name => !text || name.toLowerCase().includes(text))
    .filter(name => !name.endsWith("/skipped") || shown().some(([run]) => run.summary[name] && run.summary[name].max && run.summary[name].max[0] > 0));
  return [...kept.filter(name => found.get(name)), ...kept.filter(name => !found.get(name))];
}

function drawCurves() {
  byId("curves").hidden = !shown().some(([run]) => Object.keys(run.curves).length);
  const wanted = names(), owners = [...new Set(wanted.map(name => name.split("/")[0]))];
  const arranged = owners.flatMap(owner => [owner, ...wanted.filter(name => name.split("/")[0] === owner)]).join("\n");
  if (byId("charts").dataset.arranged !== arranged) {
    watcher.disconnect();
    charts.clear();
    byId("charts").replaceChildren(...owners.flatMap(owner => [element("h3", {}, owner),
      element("div", {class: "charts"}, ...wanted.filter(name => name.split("/")[0] === owner).map(makeChart))]));
    byId("charts").dataset.arranged = arranged;
  }
  charts.forEach(chart => { chart.stale = true; if (chart.visible) drawChart(chart); });
}

function makeChart(name) {
  const note = element("span", {class: "fault"}), plot = element("div", {class: "plot"});
  const figure = element("figure", {class: "chart card"}, element("figcaption", {}, element("span", {}, name), note), plot);
  charts.set(name, {name, plot, note, figure, visible: false, stale: true});
  figure.dataset.name = name;
  watcher.observe(figure);
  return figure;
}

// A chart is drawn when it is first seen.
const watcher = new IntersectionObserver(entries => entries.forEach(entry => {
  const chart = charts.get(entry.target.dataset.name);
  if (!chart) return;
  chart.visible = entry.isIntersecting;
  if (chart.visible && chart.stale) drawChart(chart);
}), {rootMargin: "300px"});

// A moving average whose first values count as much as later ones. A gap stays one.
function smooth(values, factor) {
  let sum = 0, weight = 0;
  return values.map(value => {
    if (value === null) return null;
    sum = factor * sum + (1 - factor) * value;
    weight = factor * weight + (1 - factor);
    return sum / weight;
  });
}

function secondsAt(run, iterations) {
  const [known, seconds] = run.seconds;
  let index = 0;
  return iterations.map(iteration => {
    while (index < known.length - 2 && known[index + 1] < iteration) index += 1;
    if (known.length < 2) return seconds[0];
    const part = (iteration - known[index]) / (known[index + 1] - known[index]);
    return seconds[index] + part * (seconds[index + 1] - seconds[index]);
  });
}

function traces(name) {
  const factor = SCHEDULED.test(name) ? 0 : Number(byId("smoothing").value), overTime = byId("axis").value === "seconds";
  return shown().filter(([run]) => run.curves[name]).flatMap(([run, index]) => {
    const [iterations, values] = run.curves[name];
    const x = overTime ? secondsAt(run, iterations) : iterations;
    const line = {color: colour(index), width: 1.8, dash: isDashed(index) ? "dash" : "solid"};
    const common = {x, type: "scatter", name: run.name.slice(0, 60), mode: values.length < FEWEST_SMOOTHED ? "lines+markers" : "lines", marker: {size: 4}};
    const raw = {...common, y: values, line: {...line, width: 1}, opacity: 0.25, hoverinfo: "skip"};
    const main = {...common, y: smooth(values, factor), line, hovertemplate: "%{y:.5g}<extra>%{fullData.name}</extra>"};
    return factor > 0 && values.length >= FEWEST_SMOOTHED ? [raw, main] : [{...main, y: values}];
  });
}

function drawChart(chart) {
  const drawn = traces(chart.name);
  const style = getComputedStyle(document.documentElement), css = name => style.getPropertyValue(name).trim();
  const axis = {gridcolor: css("--grid"), zeroline: false, linecolor: css("--line"), automargin: true, nticks: 5};
  const layout = {margin: {l: 8, r: 8, t: 8, b: 8}, showlegend: false, hovermode: "x", paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)", font: {color: css("--soft"), size: 11, family: "system-ui, sans-serif"}, uirevision: byId("axis").value,
    hoverlabel: {font: {size: 11}, namelength: 24},
    xaxis: {...axis, ...(range ? {range: [...range]} : {autorange: true})},
    yaxis: {...axis, exponentformat: "e", ...heights(drawn)}};
  const bad = shown().filter(([run]) => run.summary[chart.name] && run.summary[chart.name].bad);
  chart.note.textContent = bad.length ? `NaN or infinite: ${bad.length > 1 ? counted(bad.length, "run") : "from " + bad[0][0].summary[chart.name].firstBad}` : "";
  chart.stale = false;
  Plotly.react(chart.plot, drawn, layout, {displayModeBar: false, responsive: true, showTips: false});
  if (!chart.bound) {
    chart.bound = true;
    chart.plot.on("plotly_relayout", change => zoomed(chart, change));
  }
}

// The vertical axis. Values that differ by rounding alone are a level line.
function heights(drawn) {
  const values = drawn.flatMap(trace => trace.y).filter(value => value !== null);
  const low = values.reduce((a, b) => Math.min(a, b), Infinity), high = values.reduce((a, b) => Math.max(a, b), -Infinity);
  if (byId("log").checked && low > 0) return {type: "log"};
  const isLevel = high - low <= 1e-5 * Math.max(Math.abs(high), Math.abs(low)), room = 0.1 * Math.abs(high) || 1;
  return {type: "linear", ...(isLevel ? {range: [low - room, high + room]} : {})};
}

// The range of one chart becomes that of all.
function zoomed(chart, change) {
  const isWhole = change["xaxis.autorange"], from = change["xaxis.range[0]"];
  if (!isWhole && from === undefined) return;
  range = isWhole ? null : [from, change["xaxis.range[1]"]];
  charts.forEach(other => { if (other !== chart) { other.stale = true; if (other.visible) drawChart(other); } });
}

// Metrics.
const direction = name => { const found = data.runs.find(run => run.keepBest && run.keepBest.metric === name); return found ? found.keepBest.mode : null; };

function drawMetrics() {
  const section = byId("metrics"), metrics = [...new Set(shown().flatMap(([run]) => run.evaluations))];
  section.hidden = !metrics.length;
  if (!metrics.length) return;
  const mode = Object.fromEntries(metrics.map(name => [name, direction(name)]));
  const value = (run, name) => { const found = run.summary[name]; return !found ? null : mode[name] ? found[mode[name]] : found.last; };
  const rows = shown();
  if (sorted) rows.sort(([one], [other]) => sorted.sign * ((value(one, sorted.name)?.[0] ?? Infinity) - (value(other, sorted.name)?.[0] ?? Infinity)));
  const best = name => mode[name] && Math[mode[name]](...shown().map(([run]) => value(run, name)?.[0]).filter(Number.isFinite));
  const sort = name => { sorted = {name, sign: sorted && sorted.name === name ? -sorted.sign : mode[name] === "max" ? -1 : 1}; drawMetrics(); };
  const order = name => !sorted || sorted.name !== name ? "none" : sorted.sign > 0 ? "ascending" : "descending";
  const head = [element("th", {}, "run"), ...metrics.map(name => element("th", {class: "number", "aria-sort": order(name)},
    element("button", {onclick: () => sort(name)}, name, element("small", {}, mode[name] ? ` ${mode[name]}` : " last", {ascending: " ↑", descending: " ↓"}[order(name)]))))];
  const cell = (run, name) => {
    const found = value(run, name), isBest = found && rows.length > 1 && found[0] === best(name);
    return element("td", {class: isBest ? "number best" : "number"}, found ? number(found[0]) : "", found ? element("small", {}, ` at ${found[1]}`) : "");
  };
  const note = element("p", {class: "hint"}, "Best value of the metric that chooses the best checkpoint, and last value of all others, with the number of finished iterations.");
  refill(section, element("div", {class: "head"}, element("h2", {}, "Metrics")), note,
    table(head, rows.map(([run, index]) => element("tr", {}, element("td", {}, element("span", {class: "run-name"}, swatch(index), run.name)), ...metrics.map(name => cell(run, name))))));
}

// Images and audio.
function drawMedia() {
  const section = byId("media"), groups = [...new Set(shown().flatMap(([run]) => Object.keys(run.media)))];
  const numbers = [...new Set(shown().flatMap(([run]) => Object.values(run.media).flatMap(files => files.map(([iteration]) => iteration))))].sort((a, b) => a - b);
  section.hidden = !numbers.length;
  if (!numbers.length) return;
  const follows = at === Infinity || at >= Number(section.dataset.last);
  section.dataset.last = numbers[numbers.length - 1];
  const position = follows ? numbers.length - 1 : Math.max(numbers.findLastIndex(each => each <= at), 0);
  const slide = () => { const chosen = Number(slider.value); at = chosen === numbers.length - 1 ? Infinity : numbers[chosen]; place(); };
  let slider = section.querySelector("input[type=range]");
  const arranged = JSON.stringify([numbers, groups, shown().map(([run]) => run.name)]);
  if (section.dataset.arranged !== arranged) {
    section.dataset.arranged = arranged;
    slider = element("input", {type: "range", min: 0, max: numbers.length - 1, step: 1, value: position, "aria-label": "iteration", oninput: slide});
    refill(section,
      element("div", {class: "head"}, element("h2", {}, "Images and audio"), element("div", {id: "slider", class: "controls"}, slider, element("output", {}))),
      ...groups.flatMap(group => [element("h3", {}, group), element("div", {class: "group"},
        ...shown().filter(([run]) => run.media[group]).map(([run, index]) => mediaFigure(run, index, group)))]));
  }
  const place = () => {
    const now = numbers[Number(slider.value)];
    section.querySelector("output").textContent = `after ${now.toLocaleString("en")}`;
    section.querySelectorAll("figure").forEach(figure => placeFile(figure, now));
  };
  place();
}

function mediaFigure(run, index, group) {
  const figure = element("figure", {class: "card"});
  figure.dataset.run = run.name;
  figure.dataset.group = group;
  figure.append(element("figcaption", {}, swatch(index), element("span", {}, run.name), element("span", {})));
  return figure;
}

// The newest file that is not newer than an iteration.
function placeFile(figure, now) {
  const run = data.runs.find(each => each.name === figure.dataset.run), files = run.media[figure.dataset.group] || [];
  const found = files.findLast(([iteration]) => iteration <= now) || files[0];
  if (!found || figure.dataset.file === found[1]) return;
  const [iteration, address] = figure.dataset.file = found, kind = /\((audio|video)\)$/.exec(figure.dataset.group)?.[1] || "image";
  figure.dataset.file = address;
  let player = figure.querySelector("img, audio, video, p");
  player?.remove();
  const name = `${figure.dataset.group} of ${run.name} after ${iteration} iterations`;
  if (!address) player = element("p", {class: "hint"}, "too large for a saved page");
  else if (kind === "image") player = element("img", {src: address, alt: name, loading: "lazy", tabindex: 0, onclick: enlarge, onkeydown: event => { if (event.key === "Enter") enlarge(event); }});
  else player = element(kind, {src: address, controls: true, preload: "metadata", loop: kind === "video", "aria-label": name});
  figure.prepend(player);
  figure.querySelector("figcaption span:last-child").textContent = `after ${iteration.toLocaleString("en")}`;
}

function enlarge(event) {
  const dialog = element("dialog", {onclick: () => dialog.close(), onclose: () => dialog.remove()}, element("img", {src: event.target.src, alt: event.target.alt}));
  document.body.append(dialog);
  dialog.showModal();
}

// The path of a setting, which breaks between its names.
function pathOf(row) {
  return element("code", {}, ...row.path.split(/(?<=\.)/).flatMap(name => [element("wbr"), name]));
}

// What the files do differently.
function drawDifferences() {
  const section = byId("differences");
  section.hidden = data.runs.length < 2;
  if (section.hidden) return;
  const head = element("div", {class: "head"}, element("h2", {}, "What the files do differently"));
  const setting = row => [pathOf(row), element("div", {}, element("small", {}, row.effect))];
  const run = ([each, index]) => [element("span", {class: "run-name"}, swatch(index), each.name)];
  const value = (row, index) => element("td", {}, element("code", {}, row.values[index]));
  const runs = shown(), line = (title, cells) => element("tr", {}, element("td", {}, ...title), ...cells), top = title => element("th", {}, ...title);
  // The longer side goes down.
  const made = runs.length > data.differences.length
    ? table([top(["run"]), ...data.differences.map(row => top(setting(row)))],
      runs.map(each => line(run(each), data.differences.map(row => value(row, each[1])))), {class: "differs"})
    : table([top(["setting"]), ...runs.map(each => top(run(each)))],
      data.differences.map(row => line(setting(row), runs.map(([, index]) => value(row, index)))), {class: "differs"});
  section.replaceChildren(head, data.differences.length ? made : element("p", {class: "hint"}, "All settings of these runs are the same, but their names."));
}

// Details of a run.
function drawDetails() {
  const section = byId("details"), run = data.runs.find(each => each.name === chosen) || data.runs[0];
  section.hidden = !run;
  if (!run) return;
  const open = new Set([...section.querySelectorAll("details[open]")].map(each => each.dataset.name));
  const select = element("select", {"aria-label": "run", onchange: event => { chosen = event.target.value; section.dataset.content = ""; drawDetails(); }},
    ...data.runs.map(each => element("option", {value: each.name, selected: each === run}, each.name)));
  const content = JSON.stringify([run.name, data.runs.map(each => each.name), run.drawings, run.config, run.starts, run.incidents, run.times, run.profile]);
  if (section.dataset.content === content) return;
  section.dataset.content = content;
  const part = (name, note, children) => {
    const made = element("details", {class: "card", open: open.has(name)}, element("summary", {}, name, element("small", {}, note)), element("div", {}, ...children));
    made.dataset.name = name;
    return made;
  };
  refill(section,
    element("div", {class: "head"}, element("h2", {}, "Details"), data.runs.length > 1 ? select : element("span", {class: "hint"}, run.name)),
    element("p", {class: "hint"}, run.folder),
    ...parts(run).map(([name, note, children]) => part(name, note, children)));
}

function parts(run) {
  const found = [], last = run.starts[run.starts.length - 1];
  const drawing = name => [element("div", {class: `drawing ${name}`}, element("img", {src: run.drawings[name], alt: `${name} of ${run.name}`}))];
  if (run.drawings.graph) found.push(["Graph", "which call reads and writes which key", drawing("graph")]);
  if (run.drawings.plan) found.push(["Plan", "what happens at which iteration", drawing("plan")]);
  if (run.config) found.push(["File", run.overrides.length ? counted(run.overrides.length, "override") : "", [
    run.overrides.length ? element("p", {}, "Overrides: ", element("code", {}, run.overrides.join(" "))) : "", element("pre", {}, run.config)]]);
  if (run.starts.length) found.push(["Starts", `${counted(run.starts.length, "start")} and what changed between them`, run.starts.map(startOf)]);
  if (run.incidents.length) found.push(["Incidents", String(run.incidents.length), run.incidents.flatMap(incidentOf)]);
  if (last) found.push(["Environment", `${last.environment.device ?? ""}`, [pairs(last.environment)]]);
  if (run.times.length || run.profile.length) found.push(["Where time went", "", [...bars(run.times, "of the training"), ...bars(run.profile, "of an iteration, as artschool profile has measured it")]]);
  return found;
}

function startOf(start, index) {
  const what = index === 0 && !start.iteration ? "started" : `resumed after iteration ${start.iteration}`;
  const rows = start.changes.map(change => element("tr", {}, element("td", {}, pathOf(change), element("div", {}, element("small", {}, change.effect))),
    element("td", {}, element("code", {}, change.then)), element("td", {}, element("code", {}, change.now))));
  const head = ["setting", "before", "since"].map(name => element("th", {}, name));
  return element("div", {}, element("h3", {}, `${what}, ${start.time}`), rows.length ? table(head, rows) : index ? "The settings are the same." : "");
}

function incidentOf(incident) {
  const where = [incident.step && `step ${incident.step}`, incident.time].filter(Boolean).join(", ");
  return [element("h3", {}, `${incident.kind} in iteration ${incident.iteration} (${where})`), element("div", {class: "fault"}, incident.error),
    ...incident.badValues.map(line => element("div", {}, line)),
    incident.traceback ? element("details", {}, element("summary", {}, "Traceback"), element("div", {}, element("pre", {}, incident.traceback))) : ""].filter(Boolean);
}

const pairs = values => element("dl", {}, ...Object.entries(values).filter(([, value]) => value !== null)
  .flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, typeof value === "object" ? JSON.stringify(value) : String(value))]));

function bars(rows, of) {
  const total = rows.length && rows[0].depth === 0 ? rows[0].seconds : rows.reduce((sum, row) => sum + row.seconds, 0);
  return rows.length ? [element("h3", {}, of), ...rows.map(row => element("div", {class: "bar"},
    element("span", {style: {"padding-left": `${16 * (row.depth || 0)}px`}}, row.name), element("i", {style: {width: `${100 * row.seconds / (total || 1)}%`}}),
    element("span", {}, `${duration(row.seconds)}, ${Math.round(100 * row.seconds / (total || 1))} %`)))] : [];
}

// All.
function drawAll() {
  const trains = data.runs.filter(run => run.state === "trains").length;
  byId("headline").textContent = counted(data.runs.length, "run") + (trains ? `, ${trains} in training` : "") + (data.live ? "" : ", saved");
  document.title = data.runs.length === 1 ? `${data.runs[0].name}: artschool` : "artschool";
  [drawRuns, drawCurves, drawMetrics, drawMedia, drawDifferences, drawDetails].forEach(draw => draw());
  const sections = [["curves", "Curves"], ["metrics", "Metrics"], ["media", "Images"], ["differences", "Differences"], ["details", "Details"]];
  document.querySelector("nav").replaceChildren(...sections.filter(([id]) => !byId(id).hidden).map(([id, name]) => element("a", {href: `#${id}`}, name)));
}

byId("smoothing").addEventListener("input", () => { byId("smoothed").textContent = Number(byId("smoothing").value).toFixed(2); drawCurves(); });
byId("axis").addEventListener("change", () => { range = null; drawCurves(); });
byId("log").addEventListener("change", drawCurves);
byId("find").addEventListener("input", drawCurves);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCurves);
drawAll();

// New data, a while after the last has come, so that a slow disk is not asked all the time.
async function follow(tag) {
  const started = performance.now();
  try {
    const answer = await fetch("data", {headers: tag ? {"If-None-Match": tag} : {}});
    if (answer.status === 200) {
      tag = answer.headers.get("ETag");
      data = {...await answer.json(), live: true};
      drawAll();
    }
    document.body.classList.remove("lost");
  } catch {
    byId("headline").textContent = "The server has ended. What it showed last:";
  }
  setTimeout(() => follow(tag), Math.max(2000, 4 * (performance.now() - started)));
}
if (data.live) follow(null);
