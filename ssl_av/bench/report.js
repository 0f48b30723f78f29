// Click on a column: best first, then worst first. References and chance stay where they are.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[table.tHead.rows.length - 1].cells];
  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") !== "descending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const key = row => { const cell = row.cells[column].dataset.value; return cell === undefined ? null : +cell; };
    const body = table.querySelector("tbody.method");
    if (!body) return;
    [...body.rows].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      return x === null ? (y === null ? 0 : 1) : y === null ? -1 : down ? y - x : x - y;
    }).forEach(row => body.append(row));
  }));
}
