// On paper a figure is its light, wide one. It stands ready from the beginning: a picture that is changed for the printer
// comes too late for the first print.
for (const picture of document.querySelectorAll("figure picture")) {
  const paper = picture.querySelector("img").cloneNode();
  paper.className = "paper";
  picture.after(paper);
}

// Click on a column: highest first, then lowest first; words from A to Z, then back; on the first one: the order of the
// suite.
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
    const words = given.every(row => key(row, column) === null);
    const sorted = head.getAttribute("aria-sort");
    const down = words ? sorted === "ascending" : sorted !== "descending";
    heads.forEach(other => other.removeAttribute("aria-sort"));
    if (column === 0) return body.append(...given);
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const said = row => row.cells[column].textContent.trim();
    body.append(...[...given].sort((a, b) => {
      if (words) return (down ? -1 : 1) * said(a).localeCompare(said(b), "en", {numeric: true});
      const [x, y] = [key(a, column), key(b, column)];
      return x === null ? (y === null ? 0 : 1) : y === null ? -1 : down ? y - x : x - y;
    }));
  }));
}
