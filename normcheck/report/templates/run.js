"use strict";
const all = (selector, of = document) => Array.from(of.querySelectorAll(selector));
const one = (id) => document.getElementById(id);
const sections = all("section[data-i]");
const findings = all("details");

for (const control of all(".script")) control.hidden = false;

function filter() {
  const text = one("text").value.trim().toLowerCase();
  const kind = one("kind").value;
  const verdicts = new Set(all("input[name=verdict]:checked").map((box) => box.value));
  let count = 0;
  for (const section of sections) {
    const { i, name, verdict } = section.dataset;
    const fits = verdicts.has(verdict) && (!kind || section.dataset.kind === kind) && name.toLowerCase().includes(text);
    section.hidden = !fits;
    for (const row of all(`tr[data-of="${i}"]`)) row.hidden = !fits;
    count += fits;
  }
  one("shown").textContent = `${count} of ${sections.length} shown`;
}
one("filters").addEventListener("input", filter);
one("filters").addEventListener("submit", (event) => event.preventDefault());
filter();

one("open").addEventListener("click", (event) => {
  const open = findings.some((details) => !details.open);
  for (const details of findings) details.open = open;
  event.target.textContent = open ? "close all findings" : "open all findings";
});

for (const button of all(".copy")) {
  const text = button.parentElement.querySelector("pre");
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      button.textContent = "copied";
    } catch {
      getSelection().selectAllChildren(text);
      button.textContent = "selected";
    }
    setTimeout(() => { button.textContent = "copy"; }, 2000);
  });
}

for (const link of all(".matrix td a")) {
  link.addEventListener("click", () => { one(link.hash.slice(1)).closest("details").open = true; });
}

one("theme").addEventListener("change", (event) => { document.documentElement.style.colorScheme = event.target.value; });

let closed = [];
addEventListener("beforeprint", () => {
  closed = findings.filter((details) => !details.open);
  for (const details of closed) details.open = true;
});
addEventListener("afterprint", () => { for (const details of closed) details.open = false; });
