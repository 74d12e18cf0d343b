"""The page's JavaScript: sort a table, read a value off a chart (tooltips).

Without them every page is complete; nothing is drawn by a script. Text reaches the page through
`textContent` alone.
"""

SCRIPT = r"""
(() => {
  "use strict";
  const tip = document.getElementById("tip");
  const show = (event, text) => {
    tip.textContent = text;
    tip.hidden = false;
    const wide = document.documentElement.clientWidth;
    const left = Math.max(4, Math.min(event.clientX + 14, wide - tip.offsetWidth - 8));
    tip.style.left = left + scrollX + "px";
    const above = event.clientY - tip.offsetHeight - 14;
    tip.style.top = (above > 4 ? above : event.clientY + 18) + scrollY + "px";
  };
  const hide = () => { tip.hidden = true; };
  const inside = (svg, event) => {
    const point = new DOMPoint(event.clientX, event.clientY);
    return point.matrixTransform(svg.getScreenCTM().inverse());
  };
  const number = (value) => value === null ? "–"
    : value.toLocaleString("en", Math.abs(value) < 1e-3 && value !== 0
      ? { notation: "scientific", maximumSignificantDigits: 4 } : { maximumSignificantDigits: 7 });

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
      const falls = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", falls ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.sort;
      const compare = (a, b) => {
        if (key(a) === undefined && key(b) === undefined) {
          return a.cells[column].textContent.localeCompare(b.cells[column].textContent);
        }
        return (key(a) === undefined) - (key(b) === undefined) || key(a) - key(b);
      };
      const rows = [...table.tBodies[0].rows].sort(compare);
      if (falls) rows.reverse();
      table.tBodies[0].append(...rows);
    }));
  }

  for (const svg of document.querySelectorAll("svg[data-series]")) {
    const { x, left, right, top, bottom } = JSON.parse(svg.dataset.axes);
    const series = JSON.parse(svg.dataset.series);
    const place = (value) => left + (value - x.low) / (x.high - x.low) * (right - left);
    const rule = svg.querySelector(".rule");
    const leave = () => { rule.setAttribute("visibility", "hidden"); hide(); };
    const nearest = (each, at) => {
      let best = null;
      each.x.forEach((value, i) => {
        const far = Math.abs(place(value) - at);
        if (best === null || far < best.far) best = { far, value, name: each.name, y: each.y[i] };
      });
      return best;
    };
    svg.addEventListener("pointermove", (event) => {
      const mouse = inside(svg, event);
      const found = series.map((each) => nearest(each, mouse.x)).filter((each) => each !== null);
      if (found.length === 0 || mouse.y < top || mouse.y > bottom) return leave();
      const first = found.reduce((a, b) => b.far < a.far ? b : a);
      const at = place(first.value);
      rule.setAttribute("x1", at);
      rule.setAttribute("x2", at);
      rule.removeAttribute("visibility");
      const lines = found.filter((each) => each.far < first.far + 8).map((each) => {
        const where = each.value === first.value ? "" : " at " + number(each.value);
        return each.name + " " + number(each.y) + where;
      });
      show(event, [x.label + " " + number(first.value), ...lines].join("\n"));
    });
    svg.addEventListener("pointerleave", leave);
  }

  for (const svg of document.querySelectorAll("svg[data-values]")) {
    const names = JSON.parse(svg.closest("[data-names]").dataset.names);
    const values = JSON.parse(svg.dataset.values);
    const { left, top, cell } = JSON.parse(svg.dataset.frame);
    svg.addEventListener("pointermove", (event) => {
      const mouse = inside(svg, event);
      const row = Math.floor((mouse.y - top) / cell), column = Math.floor((mouse.x - left) / cell);
      if (values[row] === undefined || values[row][column] === undefined) return hide();
      const lines = [[names.row, names.rows[row]], [names.column, names.columns[column]]];
      const text = lines.map(([label, name]) => label ? label + ": " + name : name);
      show(event, [...text, number(values[row][column])].join("\n"));
    });
    svg.addEventListener("pointerleave", hide);
  }
})();
"""
