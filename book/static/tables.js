"use strict";
// Makes the columns of results tables sortable. A row is a <tbody>, so that what opens below it goes
// along. Without this file the tables stand in their own order.

const NUMBER = /^[<+]?\s*(-?[\d,]*\.?\d+(?:e[-+]?\d+)?)/i;

/** What a cell is sorted by: its first number, its text in lower case, or null for nothing. */
function sortKey(row, column) {
  const cell = row.rows[0].cells[column].cloneNode(true);
  cell.querySelectorAll(".origin, .interval").forEach((part) => part.remove());
  const text = cell.textContent.trim();
  const number = column > 0 && NUMBER.exec(text);
  if (number) return Number(number[1].replaceAll(",", ""));
  return column > 0 ? null : text.toLowerCase();
}

function compare(one, two) {
  return typeof one === "string" ? one.localeCompare(two, "en", { numeric: true }) : one - two;
}

/** Sort by a column: numbers from the largest at first, labels from A; then the other way round. */
function sortBy(table, column) {
  const head = table.tHead.rows[0].cells[column];
  const first = column > 0 ? "descending" : "ascending";
  const other = column > 0 ? "ascending" : "descending";
  const order = head.getAttribute("aria-sort") === first ? other : first;
  const sign = order === "ascending" ? 1 : -1;
  const rows = [...table.tBodies].map((row) => ({ row, key: sortKey(row, column) }));
  const filled = rows.filter(({ key }) => key !== null);
  filled.sort((one, two) => sign * compare(one.key, two.key));
  const empty = rows.filter(({ key }) => key === null); // last, whichever way
  table.append(...[...filled, ...empty].map(({ row }) => row));
  for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", order);
}

function makeSortable(table) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sortBy(table, column));
    head.append(button);
  });
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("table.sortable").forEach(makeSortable);
});
