/** Draws what each model has cost on each day. Loaded when there is something to draw: the first view need not wait for it. */
import { BarController, BarElement, CategoryScale, Chart, LinearScale, Tooltip } from 'chart.js'

import { dollars, money } from '../shared/money'
import type { Amount, ModelAmount } from './useCosts'

Chart.register(BarController, BarElement, CategoryScale, LinearScale, Tooltip)

export interface CostChart {
  /** Also after the colours of the page have changed. */
  show(days: readonly Amount[], models: readonly ModelAmount[]): void
  close(): void
}

export function costChart(canvas: HTMLCanvasElement): CostChart {
  const chart = new Chart<'bar', number[], string>(canvas, {
    type: 'bar',
    data: { labels: [], datasets: [] },
    options: {
      animation: false,
      maintainAspectRatio: false,
      interaction: { mode: 'index', intersect: false },
      scales: {
        x: { stacked: true, grid: { display: false }, ticks: { maxRotation: 0, autoSkipPadding: 12 } },
        y: { stacked: true, beginAtZero: true, grid: {}, border: { display: false }, ticks: { maxTicksLimit: 4, callback: (value) => money(Number(value).toFixed(8)) } },
      },
      plugins: {
        tooltip: {
          filter: (item) => item.parsed.y !== 0,
          callbacks: {
            label: (item) => ` ${item.dataset.label ?? ''}: ${money((item.parsed.y ?? 0).toFixed(8))}`,
            footer: (items) => `${money(items.reduce((sum, item) => sum + (item.parsed.y ?? 0), 0).toFixed(8))} in all`,
          },
        },
      },
    },
  })

  function show(days: readonly Amount[], models: readonly ModelAmount[]): void {
    const colors = { text: resolved(canvas, '--quiet'), line: resolved(canvas, '--line') }
    chart.data.labels = days.map((day) => day.label.slice(5))
    chart.data.datasets = models.map((model, place) => ({
      label: model.label,
      data: model.days.map((day) => dollars(day.cost ?? 0n)),
      backgroundColor: resolved(canvas, `--series-${place + 1}`),
      maxBarThickness: 28,
    }))
    chart.options.font = { family: getComputedStyle(canvas).fontFamily }
    chart.options.scales!['x']!.ticks!.color = colors.text
    chart.options.scales!['y']!.ticks!.color = colors.text
    chart.options.scales!['y']!.grid!.color = colors.line
    chart.update()
  }

  return { show, close: () => chart.destroy() }
}

/** A canvas does not know what `light-dark()` is. */
function resolved(canvas: HTMLCanvasElement, name: string): string {
  const probe = document.createElement('span')
  probe.style.color = `var(${name})`
  canvas.parentElement?.append(probe)
  const color = getComputedStyle(probe).color
  probe.remove()
  return color
}
