// Looks for what a reader would stumble over in a page shown in `frame` (an iframe of the same origin): text that
// overlaps, is cut or too faint, a page wider than the screen, pictures without words. Gives a list of complaints.
function complaints(frame) {
  const doc = frame.contentDocument, view = frame.contentWindow, found = [];
  const width = frame.clientWidth;
  const say = (what, node) => found.push(`${what}: "${(node.textContent || node.outerHTML || '').trim().slice(0, 80)}"`);
  for (const details of doc.querySelectorAll('details')) details.open = true;
  if (doc.documentElement.scrollWidth > width) found.push(`the page is ${doc.documentElement.scrollWidth} wide on a screen of ${width}`);

  const luminance = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((v) => ((v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
  const ratio = (a, b) => {
    const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  };
  const background = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const colour = numbers(view.getComputedStyle(e).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };

  // A rectangle for each line of each text: [left, top, right, bottom, owner].
  const lines = [];
  const walker = doc.createTreeWalker(doc.body, view.NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, owner = node.parentElement;
    if (!node.textContent.trim() || ['STYLE', 'SCRIPT', 'TITLE'].includes(owner.tagName) || owner.closest('.skip')) continue;
    const style = view.getComputedStyle(owner);
    const hidden = owner.closest('thead') && view.getComputedStyle(owner.closest('thead')).position === 'absolute';
    if (hidden || style.visibility === 'hidden') continue;
    const range = doc.createRange();
    range.selectNodeContents(node);
    const inSvg = owner.closest('svg');
    const rects = [...range.getClientRects()].filter((r) => r.width > 0.5 && r.height > 0.5);
    if (!rects.length) continue;
    const box = (inSvg || owner.closest('td, th, dd, dt, li, p, figcaption, pre, h1, h2, h3, h4') || doc.body).getBoundingClientRect();
    for (const r of rects) {
      if (r.left < -0.5 || r.right > width + 0.5) say(`text leaves the screen (${Math.round(r.left)} to ${Math.round(r.right)} of ${width})`, node);
      else if (r.left < box.left - 1 || r.right > box.right + 1 || r.top < box.top - 2 || r.bottom > box.bottom + 2) say('text leaves its box', node);
      lines.push([r.left, r.top, r.right, r.bottom, owner]);
    }
    const ink = numbers(inSvg ? style.fill : style.color);
    const onBadge = inSvg && owner.classList.contains('f-paper');
    if (!onBadge && ratio(ink, background(owner)) < 4.5) say(`contrast ${ratio(ink, background(owner)).toFixed(2)} is below 4.5`, node);
  }
  lines.sort((a, b) => a[1] - b[1]);
  for (let i = 0; i < lines.length; i++) {
    for (let j = i + 1; j < lines.length && lines[j][1] < lines[i][3] - 3; j++) {
      const [a, b] = [lines[i], lines[j]];
      const across = Math.min(a[2], b[2]) - Math.max(a[0], b[0]), down = Math.min(a[3], b[3]) - Math.max(a[1], b[1]);
      if (a[4] !== b[4] && across > 1 && down > 3) say(`overlaps "${a[4].textContent.trim().slice(0, 60)}"`, b[4]);
    }
  }
  for (const value of doc.querySelectorAll('b.value')) if (value.getClientRects().length > 1) say('a number is broken in two lines', value);
  for (const element of doc.querySelectorAll('body *')) {
    const overflow = view.getComputedStyle(element).overflowX;
    if (overflow !== 'visible' && !element.closest('thead, svg') && element.scrollWidth > element.clientWidth + 1) say('cut or scrolled', element);
  }
  for (const image of doc.querySelectorAll('img')) {
    if (!image.alt) say('a picture without words', image);
    if (!image.complete || !image.naturalWidth) say('a picture that does not show', image);
  }
  for (const svg of doc.querySelectorAll('svg')) if (!svg.getAttribute('aria-label')) say('a plot without words', svg);
  for (const head of doc.querySelectorAll('th')) if (!head.getAttribute('scope')) say('a header without scope', head);
  for (const id of [...doc.querySelectorAll('a[href^="#"]')].map((a) => a.getAttribute('href').slice(1))) if (!doc.getElementById(id)) found.push(`no place #${id}`);
  if (!lines.length) found.push('the page has no text');
  return { width, background: background(doc.body).join(','), texts: lines.length, found };
}
