// Draws the pictures of a report from the data in the same file.
const data = JSON.parse(document.getElementById("data").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
const ink = dark ? "#e8e8e6" : "#1a1a1a", rule = dark ? "#383b40" : "#dddddd";
for (const [id, picture] of Object.entries(data)) {
  const layout = Object.assign({
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: {color: ink, family: "system-ui, sans-serif"},
    margin: {l: 64, r: 56, t: 12, b: 56}, legend: {orientation: "h", y: 1.12}, hovermode: "closest", bargap: 0.45,
  }, picture.layout);
  for (const name of ["xaxis", "yaxis", "yaxis2"]) {
    if (layout[name]) Object.assign(layout[name], {gridcolor: rule, zerolinecolor: rule, automargin: true});
  }
  Plotly.newPlot(id, picture.traces, layout, {displaylogo: false, displayModeBar: false, responsive: true});
}
document.body.dataset.drawn = String(Object.keys(data).length);
