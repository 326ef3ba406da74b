// hls.js and Shaka Player play what `spool transcode` made, in Debian's Chromium: to the end, at each join, over switches of
// variants, without a stall or a hole; flash and beep are together.
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {mkdirSync, mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {after, before, test} from 'node:test';
import {fileURLToPath} from 'node:url';
import {chromium} from 'playwright-core';
import {serve} from './server.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const shots = process.env.SPOOL_SCREENSHOTS ?? path.join(tmpdir(), 'spool-screenshots');
const SECONDS = 26, FLASH_EVERY = 4, FLASH = 0.2;  // flashes begin at the segments' borders
let folder, out, server, browser;

function makeFilm(file) {
  const flash = `lt(mod(t\\,${FLASH_EVERY})\\,${FLASH})`;
  execFileSync('ffmpeg', ['-y', '-v', 'error', '-nostdin', '-f', 'lavfi', '-i',
    `testsrc2=s=854x480:r=25:d=${SECONDS},drawbox=c=black:t=fill:enable='not(${flash})':x=0:y=0:w=iw/3:h=ih,` +
    `drawbox=c=white:t=fill:enable='${flash}'`, '-f', 'lavfi', '-i',
    `aevalsrc=0.5*sin(2*PI*1000*t)*lt(mod(t\\,${FLASH_EVERY})\\,${FLASH}):s=48000:d=${SECONDS}`,
    '-c:v', 'libx264', '-preset', 'ultrafast', '-g', '250', '-pix_fmt', 'yuv420p', '-c:a', 'aac', file]);
}

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'spool-browser-'));
  out = process.env.SPOOL_PLAY ?? path.join(folder, 'out');
  if (!process.env.SPOOL_PLAY) {
    const film = path.join(folder, 'film.mp4');
    makeFilm(film);
    execFileSync(process.env.SPOOL ?? 'build/dev/spool', ['transcode', film, '-o', out], {stdio: ['ignore', 'ignore', 'inherit']});
  }
  execFileSync('python3', ['-B', path.join(here, '../hls/rfc8216_check'), out], {stdio: 'inherit'});
  mkdirSync(shots, {recursive: true});
  server = await serve({'/film/': out, '/test/': here, '/lib/': path.join(here, 'node_modules')});
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--headless', '--disable-gpu', '--disable-background-networking', '--autoplay-policy=no-user-gesture-required'],
  });
});

after(async () => {
  await browser?.close();
  await server?.close();
  rmSync(folder, {recursive: true, force: true});
});

// Borders of the segments of one rendition, from its playlist.
function joins(playlist) {
  const durations = [...readFileSync(path.join(out, playlist), 'utf8').matchAll(/#EXTINF:([\d.]+)/g)].map((found) => Number(found[1]));
  let at = 0;
  return durations.slice(0, -1).map((duration) => (at += duration));
}

function uris(what) {
  const master = readFileSync(path.join(out, 'master.m3u8'), 'utf8');
  return what === 'audio' ? [...master.matchAll(/TYPE=AUDIO.*URI="([^"]+)"/g)].map((found) => found[1])
                          : master.split('\n').filter((line) => line && !line.startsWith('#'));
}

async function opened(which, manifest) {
  const page = await browser.newPage();
  const said = [];
  page.on('pageerror', (error) => said.push(String(error)));
  await page.goto(`${server.url}/test/player.html`);
  const film = await page.evaluate(([w, url]) => load(w, url), [which, `${server.url}/film/${manifest}`]);
  return {page, film, said};
}

async function assertClean(page, said, film) {
  const {errors, stalls} = await page.evaluate(() => seen);
  assert.deepEqual({errors, stalls, said}, {errors: [], stalls: [], said: []});
  const ranges = await page.evaluate(() => ranges());
  assert.equal(ranges.length, 1, `holes in buffered: ${JSON.stringify(ranges)}`);
  assert.ok(film.duration > 1);
}

for (const [which, manifest] of [['hls', 'master.m3u8'], ['shaka', 'master.m3u8'], ['shaka', 'manifest.mpd']]) {
  test(`${which} plays ${manifest} to its end`, {timeout: 300000}, async () => {
    const {page, film, said} = await opened(which, manifest);
    if (!process.env.SPOOL_PLAY) assert.ok(Math.abs(film.duration - SECONDS) < 0.1, `lasts ${film.duration} s`);
    await page.evaluate(() => buffered());
    await page.evaluate((end) => playThrough(0, end, 2), film.duration);
    await page.evaluate(() => until(() => video.ended || video.currentTime > video.duration - 0.05, 'the end'));
    const [first, last] = (await page.evaluate(() => ranges())).flat();
    assert.ok(first < 0.001 && Math.abs(last - film.duration) < 0.1, `buffered ${first} to ${last} of ${film.duration}`);
    await assertClean(page, said, film);
    await page.close();
  });

  test(`${which} passes each join of ${manifest}, changing variants there`, {timeout: 600000}, async () => {
    const {page, film, said} = await opened(which, manifest);
    const heights = new Set();
    let turn = 0;
    for (const join of joins(uris('video')[0])) {
      await page.evaluate(([from, to]) => playThrough(from, to), [join - 0.4, Math.min(join + 0.4, film.duration)]);
      if (film.variants > 1 && join + 2 < film.duration) {  // at the very end there is nothing left to change for
        const index = turn++ % film.variants;
        const now = await page.evaluate(([from, to, i]) => switchThrough(from, to, i), [Math.max(0, join - 1), Math.min(join + 1, film.duration), index]);
        heights.add(now.height);
      }
    }
    assert.equal(heights.size, film.variants, `saw the heights ${[...heights]}`);
    await page.screenshot({path: path.join(shots, `${which}-${path.extname(manifest).slice(1)}.png`)});
    await assertClean(page, said, film);
    await page.close();
  });
}

test('flash and beep are within 20 ms of each other, and of where they belong', {timeout: 300000, skip: process.env.SPOOL_PLAY && 'another film'}, async () => {
  const {page} = await opened('hls', 'master.m3u8');
  const beeps = await page.evaluate((url) => globalThis.beeps(url), `/film/${uris('audio')[0]}`);
  // Each flash from close by, slowly: a busy machine shows few frames.
  await page.evaluate(() => watchFlashes());
  for (let at = FLASH_EVERY; at < SECONDS; at += FLASH_EVERY) await page.evaluate((t) => playThrough(t - 0.3, t + 0.3, 0.25), at);
  const flashes = (await page.evaluate(() => seen.flashes)).filter((time) => time > 1);
  const expected = [];
  for (let at = FLASH_EVERY; at < SECONDS; at += FLASH_EVERY) expected.push(at);
  assert.equal(flashes.length, expected.length, `flashes ${flashes}`);
  const heard = beeps.filter((time) => time > 1);
  assert.equal(heard.length, expected.length, `beeps ${beeps}`);
  expected.forEach((at, i) => {
    assert.ok(Math.abs(flashes[i] - at) <= 0.02, `flash ${flashes[i]}, not ${at}`);
    assert.ok(Math.abs(heard[i] - at) <= 0.02, `beep ${heard[i]}, not ${at}`);
    assert.ok(Math.abs(heard[i] - flashes[i]) <= 0.02, `beep ${heard[i]}, flash ${flashes[i]}`);
  });
  await page.close();
});
