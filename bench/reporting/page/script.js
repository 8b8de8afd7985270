"use strict";
(() => {
  // An empty cell is missing: it stays at the end whichever way is sorted.
  const value = (row, column) => {
    const cell = row.cells[column];
    const raw = cell.dataset.sort ?? cell.textContent.trim();
    return raw === "" || raw === "-" ? null : raw;
  };
  const compare = (a, b) => {
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en", { numeric: true }) : x - y;
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      head.querySelector("button")?.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows].map((row) => [value(row, column), row]);
        rows.sort(([a], [b]) => {
          if (a === null || b === null) return (a === null) - (b === null);
          return down ? compare(b, a) : compare(a, b);
        });
        table.tBodies[0].append(...rows.map(([, row]) => row));
      });
    });
  }
  // A number says whose it is and what it means: its row, and its heading with the meaning that stands there.
  for (const table of document.querySelectorAll("table.described")) {
    const heads = [...table.tHead.rows[0].cells];
    table.tBodies[0].addEventListener("pointerover", (event) => {
      const cell = event.target.closest("td.number");
      if (!cell || cell.title) return;
      const cells = [...cell.parentNode.cells];
      const names = cells.slice(0, cells.findIndex((one) => one.matches(".number"))).map((one) => one.textContent.trim());
      const head = heads[cell.cellIndex];
      cell.title = `${names.join(", ")}: ${head.textContent.trim()} ${cell.textContent.trim()}. ${head.title}`.trim();
    });
  }
  for (const input of document.querySelectorAll("input[data-filter]")) {
    const rows = [...document.getElementById(input.dataset.filter).tBodies[0].rows];
    const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase().replace(/\s+/g, " ")]));
    const count = document.querySelector(`[data-count="${input.dataset.filter}"]`);
    const filter = () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        row.hidden = !words.every((word) => texts.get(row).includes(word));
        shown += row.hidden ? 0 : 1;
      }
      count.textContent = `${shown} of ${rows.length} rows`;
    };
    input.addEventListener("input", filter);
    filter();
  }
})();
