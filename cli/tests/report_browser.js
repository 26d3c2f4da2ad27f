// Appended to a report by test_results_report.sh: what a reader does, in a real browser. The outcome is the title of the page.
"use strict";

const problems = [];
window.addEventListener("error", e => problems.push("error: " + e.message));
const check = (holds, sentence) => holds || problems.push(sentence);
const shown = element => element.getClientRects().length > 0;

function checkFigure(figure) {
  const drawing = figure.querySelector("svg[role=img]"), box = drawing.getBoundingClientRect();
  check(box.width > 200 && box.height > 100, figure.id + " is " + box.width + " by " + box.height);
  check(box.right <= window.innerWidth + 1, figure.id + " leaves the page");
  check(drawing.querySelectorAll("path[stroke-width]").length > 0, figure.id + " has no curve");
  check(figure.querySelectorAll("ul.key li").length === drawing.querySelectorAll("path[stroke-width]").length, figure.id + " has another key");
  for (const path of drawing.querySelectorAll("path")) check(!/NaN|inf/.test(path.getAttribute("d")), figure.id + " has a point that is no number");
}

function checkSorting(table) {
  const heads = [...table.tHead.rows[0].cells], rows = () => [...table.tBodies[0].rows];
  const before = rows().length;
  heads.forEach((head, column) => {
    const button = head.querySelector("button"), cells = () => rows().map(row => row.cells[column].textContent).filter(t => t !== "");
    button.click();
    check(head.getAttribute("aria-sort") === "ascending", "one click on " + head.textContent + " sorts upwards");
    const up = cells(), numbers = up.every(t => !isNaN(Number(t)));
    if (numbers) check(up.every((t, i) => i === 0 || Number(up[i - 1]) <= Number(t)), head.textContent + " is not sorted");
    button.click();
    const down = cells();
    check(head.getAttribute("aria-sort") === "descending", "two clicks on " + head.textContent + " sort downwards");
    if (numbers) check(down.every((t, i) => i === 0 || Number(down[i - 1]) >= Number(t)), head.textContent + " is not sorted downwards");
  });
  check(rows().length === before, "sorting loses rows");
}

function checkFilter(input) {
  const table = input.closest(".filter").nextElementSibling.querySelector("table"), rows = [...table.tBodies[0].rows];
  const type = text => {
    input.value = text;
    input.dispatchEvent(new Event("input"));
    return rows.filter(shown).length;
  };
  const first = table.tHead.rows[0].cells[0].textContent, word = rows[0].cells[0].textContent;
  check(type(word) > 0, "the filter loses " + word);
  check(type("nothing-is-called-so") === 0, "the filter keeps what it should not");
  check(type(first + "=" + word) === rows.filter(row => row.cells[0].textContent === word).length, "the filter compares wrongly: " + word);
  check(type("") === rows.length, "an empty filter hides rows");
}

const figures = [...document.querySelectorAll("figure")], tables = [...document.querySelectorAll(".wide table")];
for (const id of EXPECTED_FIGURES) check(document.getElementById(id), id + " is missing");
figures.forEach(checkFigure);
tables.forEach(checkSorting);
const filters = [...document.querySelectorAll(".filter input")];
filters.forEach(checkFilter);
check(filters.length > 0, "no table can be filtered");
check(document.documentElement.scrollWidth <= window.innerWidth, "the page is wider than the window: " + document.documentElement.scrollWidth);
for (const link of document.querySelectorAll("nav a")) check(document.querySelector(link.getAttribute("href")), link.href + " leads nowhere");
document.title = problems.length === 0 ? figures.length + " figures and " + tables.length + " tables hold" : problems.join("; ");
if (window.parent !== window) window.parent.postMessage(document.title, "*"); // a phone is a frame: windows are not narrower than 500
