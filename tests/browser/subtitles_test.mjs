// Subtitles that `spool transcode` took out of a film, or was given, are shown by hls.js and Shaka Player in Debian's Chromium:
// each cue once, when it belongs, also those that cross a segment's border.
import assert from 'node:assert/strict';
import {execFileSync} from 'node:child_process';
import {mkdtempSync, rmSync, writeFileSync} from 'node:fs';
import {tmpdir} from 'node:os';
import path from 'node:path';
import {after, before, test} from 'node:test';
import {fileURLToPath} from 'node:url';
import {chromium} from 'playwright-core';
import {serve} from './server.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const SECONDS = 14;
const CUES = [[1, 2.5, 'Good evening'], [3, 7, 'over two borders'], [9, 10, 'near the end']];
let folder, server, browser;

const clock = (seconds) => `00:00:${seconds.toFixed(3).padStart(6, '0')}`;
const srt = (prefix) => CUES.map(([begin, end, text], i) => `${i + 1}\n${clock(begin).replace('.', ',')} --> ${clock(end).replace('.', ',')}\n${prefix}${text}\n`).join('\n');

before(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'spool-browser-'));
  const at = (name) => path.join(folder, name);
  writeFileSync(at('embedded.srt'), srt(''));
  writeFileSync(at('given.srt'), srt('F: '));
  execFileSync('ffmpeg', ['-y', '-v', 'error', '-nostdin', '-f', 'lavfi', '-i', `testsrc2=s=426x240:r=25:d=${SECONDS}`,
    '-f', 'lavfi', '-i', `sine=440:d=${SECONDS}:r=48000`, '-i', at('embedded.srt'), '-map', '0', '-map', '1', '-map', '2',
    '-c:v', 'libx264', '-preset', 'ultrafast', '-c:a', 'aac', '-c:s', 'srt', '-metadata:s:s:0', 'language=eng', '-metadata:s:s:0', 'title=Full', at('film.mkv')]);
  execFileSync(process.env.SPOOL ?? 'build/dev/spool', ['transcode', at('film.mkv'), '-o', at('out'), '--subtitles', `${at('given.srt')}:fr`],
    {stdio: ['ignore', 'ignore', 'inherit']});
  execFileSync('python3', ['-B', path.join(here, '../hls/rfc8216_check'), at('out')], {stdio: 'inherit'});
  server = await serve({'/film/': at('out'), '/test/': here, '/lib/': path.join(here, 'node_modules')});
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

for (const [which, manifest] of [['hls', 'master.m3u8'], ['shaka', 'master.m3u8'], ['shaka', 'manifest.mpd']]) {
  test(`${which} shows the subtitles of ${manifest}`, {timeout: 120000}, async () => {
    const page = await browser.newPage();
    await page.goto(`${server.url}/test/player.html`);
    await page.evaluate(([w, url]) => load(w, url), [which, `${server.url}/film/${manifest}`]);
    const tracks = await page.evaluate(() => player.subtitles());
    assert.deepEqual(tracks.map((track) => track.language), ['en', 'fr']);
    assert.equal(tracks[0].label, 'Full');
    for (const [index, prefix] of [[0, ''], [1, 'F: ']]) {
      await page.evaluate((i) => player.showSubtitles(i), index);
      await page.evaluate(() => playThrough(0, video.duration - 0.1, 4));
      await page.evaluate(([p, n]) => until(() => cues().filter((cue) => cue[2].startsWith(p)).length >= n, 'cues', 20000), [prefix, CUES.length]);
      const shown = (await page.evaluate(() => cues())).filter((cue) => cue[2].startsWith('F: ') === (prefix !== ''));
      assert.deepEqual(shown.map((cue) => cue[2]), CUES.map((cue) => prefix + cue[2]));
      shown.forEach(([begin, end], i) => {
        assert.ok(Math.abs(begin - CUES[i][0]) <= 0.02 && Math.abs(end - CUES[i][1]) <= 0.02, `cue ${i} at ${begin} to ${end}`);
      });
    }
    const {errors} = await page.evaluate(() => seen);
    assert.deepEqual(errors, []);
    await page.close();
  });
}
