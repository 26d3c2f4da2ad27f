// Sorts and filters tables. Without scripts they stand as they are, without controls that do nothing.
"use strict";

const cellText = (row, column) => row.cells[column].textContent;

// Numbers by value, other texts by letters, empty cells last in both directions.
function compareCells(a, b, down) {
  if (a === "" || b === "") return (a === "") - (b === "");
  const x = Number(a), y = Number(b);
  const order = isNaN(x) || isNaN(y) ? a.localeCompare(b) : x - y;
  return down ? -order : order;
}

function sortBy(head) {
  const heads = [...head.parentNode.children], column = heads.indexOf(head), body = head.closest("table").tBodies[0];
  const down = head.getAttribute("aria-sort") === "ascending";
  heads.forEach(h => h.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  [...body.rows].sort((p, q) => compareCells(cellText(p, column), cellText(q, column), down)).forEach(row => body.append(row));
}

const operators = {
  "<": (a, b) => a < b, "<=": (a, b) => a <= b, ">": (a, b) => a > b, ">=": (a, b) => a >= b, "=": (a, b) => a === b, "!=": (a, b) => a !== b,
};

// "flt n>=256": every word has to hold: a text that some cell contains, or a comparison with a column's name.
function makeTest(word, names) {
  const parts = /^([^<>=!]+)(<=|>=|!=|<|>|=)(.+)$/.exec(word), column = parts ? names.indexOf(parts[1]) : -1;
  if (column < 0) return row => row.textContent.toLowerCase().includes(word.toLowerCase());
  return row => {
    const have = cellText(row, column), x = Number(have), y = Number(parts[3]);
    const numbers = have !== "" && !isNaN(x) && !isNaN(y);
    return numbers ? operators[parts[2]](x, y) : operators[parts[2]](have, parts[3]);
  };
}

function addFilter(table) {
  const rows = [...table.tBodies[0].rows], names = [...table.tHead.rows[0].cells].map(h => h.textContent);
  const box = document.createElement("div"), input = document.createElement("input"), count = document.createElement("span");
  box.className = "filter";
  count.className = "quiet";
  input.type = "search";
  const numeric = ["n", "seeds", "cases", "run"].find(name => names.includes(name));
  const word = [...rows[0].cells].map(c => c.textContent).find(text => text !== "" && isNaN(Number(text)));
  input.placeholder = "filter rows, such as " + word + (numeric ? " " + numeric + ">1" : "");
  input.setAttribute("aria-label", "filter the rows of this table");
  input.addEventListener("input", () => {
    const tests = input.value.split(/\s+/).filter(w => w !== "").map(w => makeTest(w, names));
    let shown = 0;
    for (const row of rows) {
      row.hidden = !tests.every(test => test(row));
      shown += !row.hidden;
    }
    count.textContent = tests.length === 0 ? "" : shown + " of " + rows.length;
  });
  box.append(input, count);
  table.closest(".wide").before(box);
}

for (const table of document.querySelectorAll(".wide table")) {
  for (const head of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    button.addEventListener("click", () => sortBy(head));
    head.append(button);
  }
  if (table.tBodies[0].rows.length > 5) addFilter(table);
}
