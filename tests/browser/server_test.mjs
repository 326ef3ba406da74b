// The server of the browser tests and of scripts/watch: what it is asked for that is no file of its folders, it survives.
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdirSync, mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import http from 'node:http';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {createInterface} from 'node:readline';
import {after, before, test} from 'node:test';
import {fileURLToPath} from 'node:url';
import {serve} from './server.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
let folder, server;

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'spool-server-'));
  mkdirSync(path.join(folder, 'film/bare'), {recursive: true});
  writeFileSync(path.join(folder, 'film/index.html'), 'a page');
  writeFileSync(path.join(folder, 'film/segment.m4s'), '0123456789');
  writeFileSync(path.join(folder, 'secret'), 'not served');
  server = await serve({'/film/': path.join(folder, 'film')});
});

after(async () => {
  await server?.close();
  rmSync(folder, {recursive: true, force: true});
});

// fetch() would resolve the dots of a path itself.
async function get(url, asked, headers = {}) {
  const [response] = await once(http.get(url, {path: asked, headers, agent: false}), 'response');
  let body = '';
  for await (const part of response) body += part;
  return {status: response.statusCode, type: response.headers['content-type'], body};
}

test('a folder is its index.html', async () => {
  assert.deepEqual(await get(server.url, '/film/'), {status: 200, type: 'text/html; charset=utf-8', body: 'a page'});
});

test('a missing file, and a folder without a page, are not found', async () => {
  for (const asked of ['/film/none.m4s', '/film/bare', '/film/bare/', '/elsewhere', '/'])
    assert.equal((await get(server.url, asked)).status, 404, asked);
});

test('a path outside is refused', async () => {
  for (const asked of ['/film/..%2fsecret', '/film/%2e%2e%2fsecret', '/film/..%2f..%2f..%2fetc%2fpasswd', '/film/%2fetc%2fpasswd'])
    assert.equal((await get(server.url, asked)).status, 403, asked);
  assert.equal((await get(server.url, '/film/../secret')).status, 404);
});

test('ranges are served, and refused behind the end', async () => {
  assert.deepEqual(await get(server.url, '/film/segment.m4s', {range: 'bytes=2-4'}), {status: 206, type: 'video/iso.segment', body: '234'});
  assert.equal((await get(server.url, '/film/segment.m4s', {range: 'bytes=7-'})).body, '789');
  assert.equal((await get(server.url, '/film/segment.m4s', {range: 'bytes=10-'})).status, 416);
});

test('who goes away in the middle does it no harm', async () => {
  writeFileSync(path.join(folder, 'film/long.m4s'), Buffer.alloc(1 << 24));
  const request = http.get(`${server.url}/film/long.m4s`, {agent: false});
  const [response] = await once(request, 'response');
  await once(response, 'data');
  response.destroy();
  await once(response, 'close');
  assert.equal((await get(server.url, '/film/')).body, 'a page');
});

test('the page of scripts/watch comes at /, and again', async () => {
  const watch = spawn(process.execPath, [path.join(here, 'watch.mjs'), path.join(folder, 'film'), '0'], {stdio: ['ignore', 'pipe', 'inherit']});
  try {
    const [line] = await once(createInterface(watch.stdout), 'line');
    const url = /http:\S+?:\d+/.exec(line)[0];
    for (let i = 0; i < 2; i++) assert.match((await get(url, '/')).body, /<h1>The result<\/h1>/);
    assert.equal((await get(url, '/film/segment.m4s')).body, '0123456789');
    assert.equal((await get(url, '/none')).status, 404);
  } finally {
    watch.kill();
  }
});
