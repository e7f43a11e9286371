// A picture for the scripted provider, which can't make one: a log with a cut in it.

/** The picture as a `data:` URL. */
export function drawing() {
  const [width, height] = [720, 300];
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  const pen = canvas.getContext('2d');
  const fill = (color, ...box) => ((pen.fillStyle = color), pen.fillRect(...box));
  const dot = (x, radius, color) => ((pen.fillStyle = color), pen.beginPath(), pen.arc(x, height / 2, radius, 0, 7), pen.fill());
  fill('#10201b', 0, 0, width, height);
  for (let lsn = 0, x = 48; x < width - 48; x += 24, lsn++) {
    const cut = lsn > 9 && lsn < 16;
    fill(cut ? '#27443b' : '#4fd1a9', x, height / 2 - 2, cut ? 8 : 24, 4);
    dot(x, lsn % 5 ? 4 : 8, cut ? '#27443b' : '#4fd1a9');
  }
  dot(width - 48, 14, '#f6f4ef');
  return canvas.toDataURL('image/png');
}
