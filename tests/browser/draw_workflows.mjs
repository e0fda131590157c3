// node draw_workflows.mjs URL WORKFLOWS VERSION SHOTS
//
// Draw the graph WORKFLOWS/NAME.json of every API prompt in WORKFLOWS/api: the page of the ComfyUI at URL
// turns the prompt into a graph, layouts.json says which nodes stand in which column and what the notes
// say, and every node is marked with the pack that it comes from, ours with VERSION. A picture of each is
// kept in SHOTS.
import fs from 'node:fs'
import path from 'node:path'
import * as comfy from './page.mjs'

const [url, folder, version, shots] = process.argv.slice(2)
const layouts = JSON.parse(fs.readFileSync(new URL('layouts.json', import.meta.url), 'utf8'))
const OURS = { cnr_id: 'odvae', ver: version }
const CORE = { cnr_id: 'comfy-core', ver: '0.3.64' }

const SPACES = { gap: 20, head: 50, top: 30 } // around a group's nodes, for a node's title, for a group's
const NARROW = 320
const SHOWN = { // width and height of nodes that show something once they ran
  LoadVideo: [340, 380],
  SaveVideo: [440, 440],
  PreviewAny: [420, 240],
  ODVAECompareVideos: [440, 460],
  ODVAETextEncode: [420, 420],
  ODVAETailInflate: [420, 440],
  ODVAETemporalTiledEncode: [NARROW, 260],
  ODVAETemporalTiledDecode: [NARROW, 220],
  ODVAEEncodeVideoFile: [NARROW, 260],
  ODVAEDecodeToVideoFile: [440, 560],
}

// In the page: make the nodes as large as what they will show.
function sizeNodes({ shown, narrow }) {
  for (const node of window.app.graph._nodes) {
    const least = node.computeSize()
    const [width, height] = shown[node.type] ?? [narrow, 0]
    node.setSize([Math.max(least[0], width), Math.max(least[1], height)])
  }
}

// In the page: put the note at the left.
function addNote({ note, head }) {
  const about = window.LiteGraph.createNode('MarkdownNote')
  window.app.graph.add(about)
  about.title = 'About'
  about.widgets[0].value = note.text
  about.pos = [0, head]
  about.setSize([note.width, note.height])
}

// In the page: put the nodes into columns from `x` on, each column a group with its own title.
function placeColumns({ columns, x, gap, head, top }) {
  const { graph } = window.app
  for (const [title, ids] of columns) {
    const nodes = ids.map((id) => graph.getNodeById(id))
    const width = Math.max(...nodes.map((node) => node.size[0]))
    let y = head
    for (const node of nodes) {
      node.pos = [x, y]
      node.setSize([width, node.size[1]])
      y += node.size[1] + head
    }
    const group = new window.LiteGraph.LGraphGroup(title)
    graph.add(group)
    group.pos = [x - gap, -top]
    group.size = [width + 2 * gap, y - head + top + gap]
    x += width + 4 * gap
  }
}

// The graph as it goes into its file: whose nodes these are, nothing that is only of this page.
function finish(graph) {
  for (const node of graph.nodes) {
    if (node.type === 'MarkdownNote') continue
    node.properties = { 'Node name for S&R': node.type, ...(node.type.startsWith('ODVAE') ? OURS : CORE) }
  }
  const { id, revision, last_node_id, last_link_id, nodes, links, groups, version } = graph
  return { id, revision, last_node_id, last_link_id, nodes, links, groups, config: {}, extra: {}, version }
}

const { browser, page } = await comfy.openPage(url)
try {
  for (const [name, layout] of Object.entries(layouts)) {
    const prompt = JSON.parse(fs.readFileSync(path.join(folder, 'api', `${name}.json`), 'utf8'))
    await comfy.openPrompt(page, prompt)
    await comfy.setWidgets(page, { control_after_generate: 'fixed' })
    await page.evaluate(sizeNodes, { shown: SHOWN, narrow: NARROW })
    await page.evaluate(addNote, { note: layout.note, ...SPACES })
    await page.evaluate(placeColumns, { columns: layout.columns, x: layout.note.width + 3 * SPACES.gap, ...SPACES })
    const graph = finish(await page.evaluate(() => window.app.graph.serialize()))
    fs.writeFileSync(path.join(folder, `${name}.json`), `${JSON.stringify(graph, null, 2)}\n`)
    await comfy.openGraph(page, graph)
    await comfy.takePicture(page, path.join(shots, `${name}.png`), { graphOnly: true })
  }
} finally {
  await browser.close()
}
