// node run_workflows.mjs URL WORKFLOWS SHOTS WIDGETS
//
// Open every graph of the folder WORKFLOWS in the page of the ComfyUI at URL, set the widgets that the
// JSON object WIDGETS names for it, run it, and keep a picture in SHOTS. Then drop a video that our nodes
// wrote on the empty canvas. Prints one JSON object: what became of each.
import fs from 'node:fs'
import path from 'node:path'
import * as comfy from './page.mjs'

const [url, folder, shots, widgets] = process.argv.slice(2)
const values = JSON.parse(widgets)
const WRITER = 'ODVAEDecodeToVideoFile'

// Last first, so that the latents are written before they are read.
const names = fs.readdirSync(folder).filter((name) => name.endsWith('.json')).sort().reverse()
const { browser, page, errors } = await comfy.openPage(url)
const found = { workflows: {}, drop: null }
let saved = null

async function runWorkflow(name) {
  const graph = JSON.parse(fs.readFileSync(path.join(folder, name), 'utf8'))
  await comfy.openGraph(page, graph)
  const drawn = await comfy.describeGraph(page)
  const prompt = await comfy.readPrompt(page)
  await comfy.setWidgets(page, values[path.parse(name).name])
  const run = await comfy.runGraph(page)
  await page.waitForTimeout(1000)
  await comfy.takePicture(page, path.join(shots, `${path.parse(name).name}.png`))
  const writer = Object.keys(prompt).find((id) => prompt[id].class_type === WRITER)
  if (writer && run.outputs[writer]) saved = { file: run.outputs[writer].images[0], types: drawn.types }
  return { ...drawn, prompt, status: run.status, message: run.message }
}

try {
  for (const name of names) found.workflows[path.parse(name).name] = await runWorkflow(name)
  if (saved) {
    await comfy.clearGraph(page)
    await comfy.dropFile(page, saved.file)
    found.drop = { expected: saved.types, restored: (await comfy.describeGraph(page)).types }
  }
  found.errors = errors
  console.log(JSON.stringify(found))
} finally {
  await browser.close()
}
