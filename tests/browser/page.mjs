// ComfyUI's page in a headless Chromium: open it, put a graph on it, run it, look at it.
import { createRequire } from 'node:module'

// By require, so that NODE_PATH may say where it is installed.
const { chromium } = createRequire(import.meta.url)('playwright-core')

const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium'
const SIZE = { width: 2400, height: 1350 }
const QUIET = { 'Comfy.TutorialCompleted': true, 'Comfy.Release.Status': 'skipped', 'Comfy.Minimap.Visible': false }
const RUN_MS = 300_000

// Open the page of the server at `url` without its greetings; the caller closes `browser`.
export async function openPage(url) {
  for (const [setting, value] of Object.entries(QUIET)) await set(url, setting, value)
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--enable-unsafe-swiftshader', '--no-proxy-server'],
  })
  const page = await browser.newPage({ viewport: SIZE })
  await page.goto(url, { waitUntil: 'domcontentloaded' })
  await page.waitForFunction(
    () => window.app?.graph && window.app?.canvas && window.LiteGraph?.registered_node_types?.ODVAELoad
      && !document.querySelector('#splash-loader'),
    null,
    { timeout: 120_000 },
  )
  const errors = [] // from here on: what the page says of itself while it starts is none of ours
  page.on('pageerror', (error) => errors.push(error.stack))
  return { browser, page, errors }
}

async function set(url, setting, value) {
  const headers = { 'Content-Type': 'application/json' }
  await fetch(`${url}/api/settings/${setting}`, { method: 'POST', body: JSON.stringify(value), headers })
}

// Put a graph of the UI format on the canvas.
export async function openGraph(page, graph) {
  await page.evaluate((graph) => window.app.loadGraphData(graph, true, true, null), graph)
  await page.waitForTimeout(1000)
}

// Put an API prompt on the canvas.
export async function openPrompt(page, prompt) {
  await page.evaluate((prompt) => window.app.loadApiJson(prompt, 'workflow'), prompt)
  await page.waitForTimeout(1000)
}

// What stands on the canvas: the types of its nodes, and those that this ComfyUI doesn't know.
export function describeGraph(page) {
  return page.evaluate(() => {
    const types = window.app.graph._nodes.map((node) => node.type).sort()
    return { types, missing: types.filter((type) => !window.LiteGraph.registered_node_types[type]) }
  })
}

// The API prompt that the page would queue.
export function readPrompt(page) {
  return page.evaluate(async () => (await window.app.graphToPrompt()).output)
}

// Set every widget whose name is in `values`.
export function setWidgets(page, values) {
  return page.evaluate((values) => {
    for (const node of window.app.graph._nodes) {
      for (const widget of node.widgets ?? []) {
        if (widget.name in values) widget.value = values[widget.name]
      }
    }
  }, values)
}

// Queue what stands on the canvas, wait for its end, and return it with what the nodes gave.
export function runGraph(page) {
  return page.evaluate(async (limit) => {
    const { api } = window.app
    const outputs = {}
    api.addEventListener('executed', (event) => { outputs[event.detail.node] = event.detail.output })
    const end = new Promise((resolve) => {
      api.addEventListener('execution_success', () => resolve({ status: 'success' }), { once: true })
      api.addEventListener('execution_error', (event) => resolve({
        status: 'error', message: `${event.detail.node_type}: ${event.detail.exception_message}`,
      }), { once: true })
      setTimeout(() => resolve({ status: 'timeout' }), limit)
    })
    await window.app.queuePrompt(0, 1)
    const refused = Object.values(window.app.lastNodeErrors ?? {})
    if (refused.length) return { status: 'invalid', message: JSON.stringify(refused), outputs }
    return { ...await end, outputs }
  }, RUN_MS)
}

// Drop a file of the server's output folder on the canvas, as from a file manager.
export async function dropFile(page, { filename, subfolder, type }) {
  await page.evaluate(async (query) => {
    const answer = await fetch(`/view?${new URLSearchParams(query)}`)
    const file = new File([await answer.blob()], query.filename, { type: 'video/mp4' })
    const data = new DataTransfer()
    data.items.add(file)
    const target = document.querySelector('#graph-canvas')
    target.dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }))
  }, { filename, subfolder, type })
  await page.waitForTimeout(2000)
}

// Empty the canvas.
export function clearGraph(page) {
  return page.evaluate(() => window.app.graph.clear())
}

// Fit the graph into the window and keep a picture: of the window, or of nothing but the graph.
export async function takePicture(page, path, { graphOnly = false } = {}) {
  await page.evaluate(() => window.app.extensionManager.command.execute('Comfy.Canvas.FitView'))
  await page.waitForTimeout(1500)
  await page.screenshot({ path, clip: graphOnly ? await frameGraph(page) : undefined })
}

// The rectangle of the window that the graph's groups and nodes fill.
function frameGraph(page) {
  return page.evaluate((margin) => {
    const { graph, canvas } = window.app
    const { scale, offset } = canvas.ds
    const boxes = [...graph._nodes, ...graph._groups].map(({ pos, size }) => [...pos, pos[0] + size[0], pos[1] + size[1]])
    const [left, top] = [0, 1].map((i) => Math.min(...boxes.map((box) => box[i])) - margin)
    const [right, bottom] = [2, 3].map((i) => Math.max(...boxes.map((box) => box[i])) + margin)
    const { x, y } = canvas.canvas.getBoundingClientRect()
    return {
      x: x + (left + offset[0]) * scale,
      y: y + (top + offset[1]) * scale,
      width: (right - left) * scale,
      height: (bottom - top) * scale,
    }
  }, 20)
}
