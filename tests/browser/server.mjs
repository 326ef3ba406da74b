// A static server with byte ranges, for folders that a player reads; a folder is its index.html. Nothing else.
import {createReadStream, promises as fs} from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import {pipeline} from 'node:stream/promises';

const types = {
  '.m3u8': 'application/vnd.apple.mpegurl', '.mpd': 'application/dash+xml', '.mp4': 'video/mp4', '.m4s': 'video/iso.segment',
  '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.mjs': 'text/javascript', '.vtt': 'text/vtt',
};

// `mounts`: {'/film/': folder, ...}, longest first; any free port unless one is named. Resolves to {url, close()}.
export async function serve(mounts, port = 0) {
  const server = http.createServer(async (request, response) => {
    try {
      await answer(mounts, request, response);
    } catch (error) {
      if (response.headersSent) return void response.destroy();  // it went away, or its file did
      response.writeHead(error.code === 'ENOENT' ? 404 : 500).end(String(error.message));
    }
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => new Promise((resolve) => { server.closeAllConnections(); server.close(resolve); }),
  };
}

async function answer(mounts, request, response) {
  const asked = decodeURIComponent(new URL(request.url, 'http://localhost').pathname);
  const mount = Object.keys(mounts).find((prefix) => asked.startsWith(prefix));
  if (!mount) return void response.writeHead(404).end();
  const root = path.resolve(mounts[mount]);
  let file = path.resolve(root, asked.slice(mount.length));
  if (file !== root && !file.startsWith(root + path.sep)) return void response.writeHead(403).end();
  if ((await fs.stat(file)).isDirectory()) file = path.join(file, 'index.html');
  const {size} = await fs.stat(file);
  const headers = {'content-type': types[path.extname(file)] ?? 'application/octet-stream', 'accept-ranges': 'bytes', 'cache-control': 'no-store'};
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  if (!range) {
    response.writeHead(200, {...headers, 'content-length': size});
    return pipeline(createReadStream(file), response);
  }
  const first = Number(range[1]);
  const last = range[2] ? Math.min(Number(range[2]), size - 1) : size - 1;
  if (first > last) return void response.writeHead(416, {'content-range': `bytes */${size}`}).end();
  response.writeHead(206, {...headers, 'content-range': `bytes ${first}-${last}/${size}`, 'content-length': last - first + 1});
  return pipeline(createReadStream(file, {start: first, end: last}), response);
}
