// node show_workflow.mjs URL GRAPH PICTURE
//
// Open the file GRAPH in the page of the ComfyUI at URL, run it as it is, and keep a picture of it.
import fs from 'node:fs'
import * as comfy from './page.mjs'

const [url, graph, picture] = process.argv.slice(2)
const { browser, page } = await comfy.openPage(url)
try {
  await comfy.openGraph(page, JSON.parse(fs.readFileSync(graph, 'utf8')))
  const run = await comfy.runGraph(page)
  if (run.status !== 'success') throw new Error(`${graph}: ${run.status} ${run.message ?? ''}`)
  await page.waitForTimeout(3000) // for the players to load what was saved
  await comfy.takePicture(page, picture, { graphOnly: true })
} finally {
  await browser.close()
}
