// hls.js and Shaka Player play what `spool transcode` made, in Debian's Chromium: to the end, at each join, over switches of
// variants, without a stall or a hole; flash and beep are together. SPOOL_PLAY=FOLDER plays what is there; SPOOL_FLEET=1 what four
// workers made on PostgreSQL and S3, straight out of the bucket.
import assert from 'node:assert/strict';
import {execFileSync, spawn} from 'node:child_process';
import {once} from 'node:events';
import {existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, watch} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {after, before, test} from 'node:test';
import {fileURLToPath} from 'node:url';
import {chromium} from 'playwright-core';
import {transcodeOnFleet} from './fleet.mjs';
import {serve} from './server.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const shots = process.env.SPOOL_SCREENSHOTS ?? path.join(tmpdir(), 'spool-screenshots');
const SECONDS = 26, FIRST_FLASH = 4, FLASH_EVERY = 4, FLASH = 0.2;  // most flashes begin at a segment's border
let folder, out, fleet, server, films, browser;

function makeFilm(file) {
  const flash = `gte(t\\,${FIRST_FLASH})*lt(mod(t-${FIRST_FLASH}\\,${FLASH_EVERY})\\,${FLASH})`;
  execFileSync('ffmpeg', ['-y', '-v', 'error', '-nostdin', '-f', 'lavfi', '-i',
    `testsrc2=s=854x480:r=25:d=${SECONDS},drawbox=c=black:t=fill:enable='not(${flash})':x=0:y=0:w=iw/3:h=ih,` +
    `drawbox=c=white:t=fill:enable='${flash}'`, '-f', 'lavfi', '-i',
    `aevalsrc=0.5*sin(2*PI*1000*t)*${flash}:s=48000:d=${SECONDS}`,
    '-c:v', 'libx264', '-preset', 'ultrafast', '-g', '250', '-pix_fmt', 'yuv420p', '-c:a', 'aac', file]);
}

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'spool-browser-'));
  out = process.env.SPOOL_PLAY ?? path.join(folder, 'out');
  if (!process.env.SPOOL_PLAY) {
    const film = path.join(folder, 'film.mp4');
    makeFilm(film);
    if (process.env.SPOOL_FLEET) fleet = await transcodeOnFleet(film, out);
    else execFileSync(process.env.SPOOL ?? 'build/dev/spool', ['transcode', film, '-o', out], {stdio: ['ignore', 'ignore', 'inherit']});
  }
  execFileSync('python3', ['-B', path.join(here, '../hls/rfc8216_check'), out], {stdio: 'inherit'});
  mkdirSync(shots, {recursive: true});
  server = await serve({'/film/': out, '/test/': here, '/lib/': path.join(here, 'node_modules')});
  films = fleet?.films ?? `${server.url}/film`;
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--headless', '--disable-gpu', '--disable-background-networking', '--autoplay-policy=no-user-gesture-required'],
  });
});

after(async () => {
  await browser?.close();
  await server?.close();
  await fleet?.close();
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

async function opened(which, manifest, from = films, site = server.url) {
  const page = await browser.newPage();
  const said = [];
  page.on('pageerror', (error) => said.push(String(error)));
  await page.goto(`${site}/test/player.html`);
  const film = await page.evaluate(([w, film]) => load(w, film), [which, `${from}/${manifest}`]);
  return {page, film, said};
}

async function assertClean(page, said, film, grows = false) {
  const {errors, stalls, again} = await page.evaluate(() => seen);
  if (!grows) assert.deepEqual(again, [], 'segments that were loaded again');
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
    const borders = [...joins(uris('video')[0]), film.duration];
    for (const [i, join] of borders.slice(0, -1).entries()) {
      await page.evaluate(([from, to]) => playThrough(from, to), [join - 0.4, Math.min(join + 0.4, film.duration)]);
      const end = borders[i + 1];
      if (film.variants < 2 || end - join < 2) continue;  // at the very end there is nothing left to change for
      const now = await page.evaluate(([at, to]) => switchAt(at, to), [join, end]);
      assert.equal(now.height, now.asked, `at ${join} s`);
      assert.ok(now.at >= join - 0.001 && now.at < end, `asked for at ${join} s, seen at ${now.at}`);
      heights.add(now.height);
    }
    assert.equal(heights.size, film.variants, `saw the heights ${[...heights]}`);
    await page.screenshot({path: path.join(shots, `${which}-${path.extname(manifest).slice(1)}.png`)});
    await assertClean(page, said, film);
    await page.close();
  });
}

test('flash and beep are within 20 ms of each other, and of where they belong', {timeout: 300000, skip: process.env.SPOOL_PLAY && 'another film'}, async () => {
  const {page} = await opened('hls', 'master.m3u8');
  const beeps = await page.evaluate((url) => globalThis.beeps(url), `${films}/${uris('audio')[0]}`);
  const expected = [];
  for (let at = FIRST_FLASH; at < SECONDS; at += FLASH_EVERY) expected.push(at);
  const borders = joins(uris('video')[0]);
  assert.ok(expected.filter((at) => borders.some((join) => Math.abs(join - at) < 0.001)).length >= 4, `joins at ${borders}`);
  // Each flash from close by, slowly: a busy machine shows few frames.
  await page.evaluate(() => watchFlashes());
  for (const at of expected) await page.evaluate((t) => playThrough(t - 0.3, t + 0.3, 0.25), at);
  const flashes = await page.evaluate(() => seen.flashes);
  assert.equal(flashes.length, expected.length, `flashes ${flashes}`);
  const heard = await page.evaluate((times) => globalThis.heard(times), expected);
  assert.equal(beeps.length, expected.length, `beeps ${beeps}`);
  assert.equal(heard.length, expected.length, `heard ${heard}`);
  expected.forEach((at, i) => {
    assert.ok(Math.abs(flashes[i] - at) <= 0.02, `flash ${flashes[i]}, not ${at}`);
    assert.ok(Math.abs(beeps[i] - at) <= 0.02, `beep ${beeps[i]}, not ${at}`);
    assert.ok(Math.abs(heard[i] - flashes[i]) <= 0.02, `heard at ${heard[i]}, seen at ${flashes[i]}`);
  });
  await page.close();
});

function appears(file) {
  return new Promise((resolve) => {
    const watcher = watch(path.dirname(file), () => {
      if (!existsSync(file)) return;
      watcher.close();
      resolve();
    });
  });
}

// The encoder is stopped as soon as there is something to play, so that the player surely meets a playlist that grows.
for (const which of ['hls', 'shaka']) {
  test(`${which} plays a film from its beginning while it is made`, {timeout: 300000, skip: (process.env.SPOOL_PLAY ?? process.env.SPOOL_FLEET) && 'it is made'}, async () => {
    const growing = path.join(folder, `growing-${which}`);
    mkdirSync(growing);
    const playable = appears(path.join(growing, 'master.m3u8'));
    const maker = spawn(process.env.SPOOL ?? 'build/dev/spool', ['transcode', path.join(folder, 'film.mp4'), '-o', growing, '--slots', '1'], {stdio: ['ignore', 'ignore', 'inherit']});
    const made = once(maker, 'exit');
    await playable;
    maker.kill('SIGSTOP');
    const grown = await serve({'/film/': growing, '/test/': here, '/lib/': path.join(here, 'node_modules')});
    try {
      const master = readFileSync(path.join(growing, 'master.m3u8'), 'utf8');
      const playlist = path.join(growing, master.split('\n').find((line) => line && !line.startsWith('#')));
      assert.doesNotMatch(readFileSync(playlist, 'utf8'), /#EXT-X-ENDLIST/, 'made before it was played: the test shows nothing');
      const {page, film, said} = await opened(which, 'master.m3u8', `${grown.url}/film`, grown.url);
      assert.ok(await page.evaluate(() => video.currentTime) < 0.1, 'does not begin at its beginning');
      maker.kill('SIGCONT');
      await page.evaluate(() => video.play());
      assert.deepEqual(await made, [0, null]);
      await page.evaluate((seconds) => until(() => Math.abs(video.duration - seconds) < 0.1, 'its length'), SECONDS);
      await page.evaluate(() => until(() => video.ended, 'the end'));
      await assertClean(page, said, film, true);
      await page.close();
    } finally {
      maker.kill('SIGCONT');
      await made;
      await grown.close();
    }
  });
}
