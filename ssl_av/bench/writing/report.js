// Click on a column: best first, then worst first; on the first one: the order of the suite.
// References and chance stay where they are.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.querySelector("tbody.method");
  if (!body) continue;
  const given = [...body.rows];
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  const key = (row, column) => {
    const value = row.cells[column].dataset.value;
    return value === undefined ? null : +value;
  };
  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") !== "descending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    if (column === 0) return body.append(...given);
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...[...given].sort((a, b) => {
      const [x, y] = [key(a, column), key(b, column)];
      return x === null ? (y === null ? 0 : 1) : y === null ? -1 : down ? y - x : x - y;
    }));
  }));
}
