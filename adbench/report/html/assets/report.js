"use strict";
// Sorting, filtering, sliders and links into closed parts. The page reads well without any of it.
document.documentElement.classList.add("js");

// ------------------------------------------------------------------------------ tables

/** The number that a cell begins with, or NaN: "98.68 ± 0.12" is 98.68, "–" and "failed" NaN. */
function numberOf(text) {
  return /^[+−-]?\d/.test(text) ? parseFloat(text.replace(/,/g, "").replace("−", "-")) : NaN;
}

function compareTexts(a, b) {
  const x = numberOf(a);
  const y = numberOf(b);
  if (Number.isNaN(x) && Number.isNaN(y)) {
    return a.localeCompare(b, "en", { numeric: true });
  }
  return x - y;
}

/** Rows by one column; those without a number stay last in a column of numbers. */
function sortRows(rows, column, isNumeric, direction) {
  const texts = new Map(rows.map((row) => [row, row.cells[column].textContent.trim()]));
  return [...rows].sort((a, b) => {
    const [x, y] = [texts.get(a), texts.get(b)];
    if (isNumeric && Number.isNaN(numberOf(x)) !== Number.isNaN(numberOf(y))) {
      return Number.isNaN(numberOf(x)) ? 1 : -1;
    }
    return direction * compareTexts(x, y);
  });
}

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const original = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const isNumeric = head.classList.contains("number");
      // The first click shows the best at the top; the third restores the order of the report.
      const cycle = isNumeric ? ["descending", "ascending", ""] : ["ascending", "descending", ""];
      const next = cycle[(cycle.indexOf(head.getAttribute("aria-sort") || "") + 1) % 3];
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (next) {
        head.setAttribute("aria-sort", next);
      }
      const direction = next === "ascending" ? 1 : -1;
      body.append(...(next ? sortRows(original, column, isNumeric, direction) : original));
      table.classList.toggle("sorted", Boolean(next));
    });
  });
}

for (const input of document.querySelectorAll("input[data-filters]")) {
  const target = document.getElementById(input.dataset.filters);
  const rows = [...target.querySelectorAll("tbody > tr, [data-row]")].filter(
    (row) => !row.parentElement.closest("[data-row]"),
  );
  const texts = rows.map((row) => (row.querySelector("summary") || row).textContent.toLowerCase())
    .map((text) => text.replace(/\s+/g, " "));
  const output = input.closest("p").querySelector("output");
  input.addEventListener("input", () => {
    const words = (input.value.toLowerCase().match(/"[^"]+"|[^\s"]+/g) || []).map((word) =>
      word.replace(/"/g, ""),
    );
    let shown = 0;
    rows.forEach((row, index) => {
      row.hidden = !words.every((word) => texts[index].includes(word));
      shown += row.hidden ? 0 : 1;
    });
    output.textContent = words.length ? `${shown} of ${rows.length}` : "";
  });
}

// ----------------------------------------------------------------------------- gallery

/** 0 is the image, 100 the map, 200 the ground truth; between them one fades over the other. */
function showAt(figure, value) {
  const slide = figure.querySelector("[data-slide]");
  slide.value = value;
  const map = figure.querySelector(".map:not(.unchosen)");
  if (map) {
    map.style.opacity = Math.min(value / 100, 1);
  }
  figure.querySelector(".mask").style.opacity = Math.max((value - 100) / 100, 0);
  const nearest = ["image", "map", "ground truth"][Math.round(value / 100)];
  slide.setAttribute("aria-valuetext", nearest);
}

for (const category of document.querySelectorAll("section.category")) {
  const figures = [...category.querySelectorAll(".case")];
  const method = category.querySelector("[data-method]");
  const choose = () => {
    for (const part of category.querySelectorAll("[data-of]")) {
      part.classList.toggle("unchosen", part.dataset.of !== method.value);
    }
    figures.forEach((figure) => showAt(figure, Number(figure.querySelector("[data-slide]").value)));
  };
  method.addEventListener("change", choose);
  choose();
  for (const figure of figures) {
    const slide = figure.querySelector("[data-slide]");
    slide.addEventListener("input", () => showAt(figure, Number(slide.value)));
  }
  const all = category.querySelector("[data-all]");
  all.addEventListener("input", () => figures.forEach((figure) => showAt(figure, Number(all.value))));
}

// ------------------------------------------------------------------- links and printing

/** A link to something inside closed parts opens them. */
function reveal() {
  const target = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
  if (!target) {
    return;
  }
  for (let part = target.closest("details"); part; part = part.parentElement.closest("details")) {
    part.open = true;
  }
  target.scrollIntoView();
}
window.addEventListener("hashchange", reveal);
document.addEventListener("click", (event) => {
  const link = event.target.closest && event.target.closest("a[href^='#']");
  if (link && link.getAttribute("href") === location.hash) {
    reveal();
  }
});
reveal();

// On paper nothing can be opened: protocols, settings, failures and charts are printed open.
let closed = [];
window.addEventListener("beforeprint", () => {
  const parts = "#notes details, #protocols details, #failures details, #environments details, .charts, .sheet";
  closed = [...document.querySelectorAll(parts)].filter((part) => !part.open);
  closed.forEach((part) => (part.open = true));
});
window.addEventListener("afterprint", () => {
  closed.forEach((part) => (part.open = false));
  closed = [];
});
