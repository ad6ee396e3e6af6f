// Finds quoted words in the text layer of a page and marks them. The quotation and the page differ in white space,
// hyphens at line ends, ligatures and accents, so both are compared as letters and digits alone.

const SHINGLE = 6; // words: a sentence that goes on in the next column or page is marked by its pieces

const plain = (text) => text.normalize("NFKD").toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");

// All text nodes of the layer as one string of plain characters, each with where it came from.
function read(layer) {
  const nodes = [];
  const places = [];
  let text = "";
  const walker = document.createTreeWalker(layer, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    nodes.push(node);
    let offset = 0;
    for (const character of node.data) {
      const simple = plain(character);
      for (let i = 0; i < simple.length; i += 1) places.push([nodes.length - 1, offset, offset + character.length]);
      text += simple;
      offset += character.length;
    }
  }
  return { nodes, places, text };
}

// Where the quotation stands on the page, as ranges of plain characters: whole, or else in pieces of a few words.
function find(quote, text) {
  const whole = plain(quote);
  if (whole.length < 3) return [];
  const at = text.indexOf(whole);
  if (at >= 0) return [[at, at + whole.length]];
  const words = quote.split(/\s+/).map(plain).filter(Boolean);
  const found = [];
  for (let i = 0; i + SHINGLE <= words.length; i += 1) {
    const piece = words.slice(i, i + SHINGLE).join("");
    const place = text.indexOf(piece);
    if (place >= 0) found.push([place, place + piece.length]);
  }
  return found;
}

function joined(ranges) {
  const sorted = [...ranges].sort((a, b) => a[0] - b[0]);
  const result = [];
  for (const [start, end] of sorted) {
    const last = result.at(-1);
    if (last && start <= last[1]) last[1] = Math.max(last[1], end);
    else result.push([start, end]);
  }
  return result;
}

// {node number: [[first character, end], ...]}: a range crosses as many nodes as it has lines.
function byNode(ranges, places) {
  const parts = new Map();
  for (const [start, end] of ranges) {
    for (let i = start; i < end; i += 1) {
      const [node, from, to] = places[i];
      const list = parts.get(node) ?? parts.set(node, []).get(node);
      const last = list.at(-1);
      if (last && i > start && places[i - 1][0] === node) last[1] = to;
      else list.push([from, to]);
    }
  }
  return parts;
}

function wrap(node, ranges) {
  const marks = [];
  for (const [from, to] of [...ranges].reverse()) {
    const range = document.createRange();
    range.setStart(node, from);
    range.setEnd(node, to);
    const element = document.createElement("mark");
    range.surroundContents(element);
    marks.unshift(element);
  }
  return marks;
}

// Marks the quotations in the layer; the marks, in the order of the page.
export function mark(layer, quotes) {
  const { nodes, places, text } = read(layer);
  const ranges = joined(quotes.flatMap((quote) => find(quote, text)));
  const marks = [];
  for (const [number, parts] of byNode(ranges, places)) marks.push(...wrap(nodes[number], parts));
  return marks;
}
