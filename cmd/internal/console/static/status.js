// The live figures and the chart of the status page.

const chartElement = document.getElementById('chart')
const chartSeconds = 600
let data = [[], [], []]
let chart

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim()
}

function draw() {
  chart?.destroy()
  const axis = { stroke: colour('--quiet'), grid: { stroke: colour('--line'), width: 1 }, ticks: { stroke: colour('--line'), width: 1 } }
  const now = () => Date.now() / 1000
  chart = new uPlot({
    width: chartElement.clientWidth,
    height: 220,
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { range: () => [now() - chartSeconds, now()] },
      y: { range: (_, __, max) => [0, Math.max(1, max * 1.1)] },
    },
    axes: [
      { ...axis, incrs: [60, 120, 300], space: 60, values: (_, times) => times.map((at) => new Date(at * 1000).toISOString().slice(11, 16)) },
      { ...axis, size: 60 },
    ],
    series: [
      {},
      { label: 'accepted', stroke: colour('--accepted'), width: 2, points: { show: false } },
      { label: 'completed', stroke: colour('--completed'), width: 2, dash: [6, 4], points: { show: false } },
    ],
  }, data, chartElement)
}

// Replace the parts that have changed, except one that has the focus: a reader with a keyboard would lose their place.
function show(html) {
  const next = new DOMParser().parseFromString(html, 'text/html')
  for (const part of next.querySelectorAll('[data-live]')) {
    const current = document.getElementById(part.id)
    const focused = current.contains(document.activeElement)
    if (!focused && current.innerHTML !== part.innerHTML) {
      const left = [...current.querySelectorAll('.table')].map((table) => table.scrollLeft)
      current.replaceChildren(...part.childNodes)
      current.querySelectorAll('.table').forEach((table, i) => { table.scrollLeft = left[i] ?? 0 })
    }
  }
}

function connected(is) {
  document.getElementById('connection').hidden = is
}

// A page that nobody sees does not watch.
let source
function watch() {
  source?.close()
  if (document.hidden) return
  source = new EventSource('/live')
  source.addEventListener('history', (event) => {
    data = JSON.parse(event.data)
    chart.setData(data)
    connected(true)
  })
  source.addEventListener('point', (event) => {
    const point = JSON.parse(event.data)
    if (data[0].length && point[0] <= data[0].at(-1)) return // it is in the history
    data = data.map((column, i) => [...column, point[i]])
    const first = data[0].findIndex((at) => at >= point[0] - chartSeconds)
    data = data.map((column) => column.slice(first))
    chart.setData(data)
  })
  source.addEventListener('status', (event) => show(event.data))
  source.addEventListener('error', () => {
    connected(false)
    if (source.readyState === EventSource.CLOSED) { // refused, such as after the session has ended
      setTimeout(() => location.reload(), 3000)
    }
  })
}

draw()
watch()
document.addEventListener('visibilitychange', watch)
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw)
new ResizeObserver(() => chart.setSize({ width: chartElement.clientWidth, height: 220 })).observe(chartElement)
