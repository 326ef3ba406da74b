// In the page: the players behind one small interface, and what is seen of the playback.
const video = document.getElementById('video');
const seen = {errors: [], again: [], stalls: [], flashes: []};
let player;

function range(time) {
  for (let i = 0; i < video.buffered.length; i++)
    if (video.buffered.start(i) <= time && time <= video.buffered.end(i)) return i;
  return -1;
}

// A stall that is the film's fault: there is more, and the playhead cannot get there. (That a busy machine has not fetched
// the next segment yet is no fault of the film; nor is the time that a seek takes.)
video.addEventListener('waiting', () => {
  const starved = !ranges().some(([, end]) => end > video.currentTime + 0.25);
  if (!video.seeking && !video.paused && !starved) seen.stalls.push({at: video.currentTime, buffered: ranges()});
});
video.addEventListener('error', () => seen.errors.push(`media: ${video.error.message}`));

function ranges() {
  return Array.from({length: video.buffered.length}, (_, i) => [video.buffered.start(i), video.buffered.end(i)]);
}

const makers = {
  async hls(url) {
    const hls = new Hls({maxBufferLength: 60, enableWorker: false, nudgeMaxRetry: 0});
    // That the buffer ran low is seen by `waiting`, where its cause is known.
    // Loading once more what is there already is told apart: at the edge of a film that grows it may be.
    hls.on(Hls.Events.ERROR, (_, data) => data.details === Hls.ErrorDetails.BUFFER_STALLED_ERROR ||
      (data.details === Hls.ErrorDetails.BUFFER_APPEND_NO_PROGRESS && data.appendsWithoutProgress === 1 && seen.again.push(data.frag.sn)) ||
      seen.errors.push(`${data.type} ${data.details} fatal=${data.fatal} ${data.error?.message ?? ''}`));
    const parsed = new Promise((resolve) => hls.once(Hls.Events.MANIFEST_PARSED, resolve));
    hls.loadSource(url);
    hls.attachMedia(video);
    await parsed;
    return {
      variants: () => hls.levels.length,
      switchTo: (index) => { hls.nextLevel = index; },
      height: (index) => hls.levels[index].height,
      subtitles: () => hls.allSubtitleTracks.map((track) => ({language: track.lang, label: track.name})),
      showSubtitles: (index) => { hls.subtitleDisplay = true; hls.subtitleTrack = index; },
    };
  },
  async shaka(url) {
    shaka.polyfill.installAll();
    const it = new shaka.Player();
    await it.attach(video);
    it.configure({abr: {enabled: false}, streaming: {bufferingGoal: 600}});
    it.addEventListener('error', (event) => seen.errors.push(`shaka ${event.detail.code} ${event.detail.data}`));
    await it.load(url);
    const tracks = () => it.getVariantTracks().sort((a, b) => a.bandwidth - b.bandwidth);
    return {
      variants: () => tracks().length,
      switchTo: (index) => it.selectVariantTrack(tracks()[index], /* clearBuffer */ true, /* safeMargin */ 1),
      height: (index) => tracks()[index].height,
      subtitles: () => it.getTextTracks().map((track) => ({language: track.language, label: track.label})),
      showSubtitles: (index) => { it.selectTextTrack(it.getTextTracks()[index]); it.setTextVisibility?.(true); it.setTextTrackVisibility?.(true); },
    };
  },
};

async function load(which, url) {
  player = await makers[which](url);
  await until(() => video.readyState >= 2, 'the first picture');
  return {variants: player.variants(), duration: video.duration};
}

// With all of it fetched, nothing but the film itself can make it stall.
async function buffered() {
  await until(() => ranges().some(([first, last]) => first < 0.001 && last > video.duration - 0.1), 'all of the film');
}

async function until(condition, what, most = 90000) {
  const began = performance.now();
  while (!condition()) {
    if (performance.now() - began > most)
      throw new Error(`waited ${most / 1000} s for ${what}: at ${video.currentTime}, ready ${video.readyState}, ${JSON.stringify({...seen, buffered: ranges()})}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function seek(time) {
  const ended = new Promise((resolve) => video.addEventListener('seeked', resolve, {once: true}));
  video.currentTime = time;
  await ended;
  await until(() => video.readyState >= 3 || video.ended, `data at ${time}`);
}

// Plays from `from` until the playhead is past `to`.
async function playThrough(from, to, rate = 1) {
  await seek(from);
  video.playbackRate = rate;
  await video.play();
  await until(() => video.currentTime >= to || video.ended, `playing from ${from} to ${to}`, 120000);
  video.pause();
}

// Plays over `join`, with another variant asked for just before it, until that is what is shown, or `end`. `at`: the media time
// of its first frame. Asked while it stands still: hls.js lets a playing film go on for the seconds that it thinks it needs.
async function switchAt(join, end) {
  await seek(join - 0.5);
  const heights = Array.from({length: player.variants()}, (_, i) => player.height(i));
  const index = (heights.indexOf(video.videoHeight) + 1) % heights.length;
  let at;
  const look = (_, frame) => {
    if (frame.height === heights[index]) at = frame.mediaTime;
    else video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
  player.switchTo(index);
  await video.play();
  await until(() => at !== undefined || video.currentTime >= end || video.ended, `variant ${index} at ${join}`);
  video.pause();
  return {asked: heights[index], height: video.videoHeight, at};
}

// The cues that the browser would show, as [begin, end, text].
function cues() {
  return [...video.textTracks].filter((track) => track.mode !== 'disabled').flatMap((track) => [...(track.cues ?? [])])
    .map((cue) => [cue.startTime, cue.endTime, cue.text]).sort((a, b) => a[0] - b[0]);
}

// Media times at which the picture turns white, of frames as they are shown.
function watchFlashes() {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
  let white = false;
  const look = (_, frame) => {
    canvas.drawImage(video, 0, 0, 1, 1);
    const now = canvas.getImageData(0, 0, 1, 1).data[1] > 200;
    if (now && !white) seen.flashes.push(frame.mediaTime);
    white = now;
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
}

// Media times at which a beep begins near each of `times`, in what the element itself plays: its sound goes through an audio
// graph, and the graph's clock is set against the element's while both run.
async function heard(times) {
  const context = new AudioContext({sampleRate: 48000});
  await context.audioWorklet.addModule('/test/onsets.js');
  const onsets = new AudioWorkletNode(context, 'onsets');
  context.createMediaElementSource(video).connect(onsets).connect(context.destination);
  video.muted = false;
  await context.resume();
  const found = [];
  for (const time of times) {
    const began = [], apart = [];
    onsets.port.onmessage = ({data}) => began.push(data);
    await seek(time - 1);
    video.playbackRate = 1;
    await video.play();
    await until(() => {
      if (video.currentTime > time - 0.5) apart.push(video.currentTime - context.currentTime);
      return video.currentTime > time + 0.5;
    }, `the beep at ${time}`);
    video.pause();
    apart.sort((a, b) => a - b);
    found.push(...began.map((at) => at + apart[apart.length >> 1]));
  }
  return found;
}

// Times at which the sound begins after silence, of the audio rendition decoded as one file.
async function beeps(playlist) {
  const base = new URL(playlist, location.href);
  const text = await (await fetch(base)).text();
  const uris = [/#EXT-X-MAP:URI="([^"]+)"/.exec(text)[1], ...text.split('\n').filter((line) => line && !line.startsWith('#'))];
  const parts = await Promise.all(uris.map(async (uri) => (await fetch(new URL(uri.trim(), base))).arrayBuffer()));
  const sound = await new OfflineAudioContext(2, 48000, 48000).decodeAudioData(await new Blob(parts).arrayBuffer());
  const samples = sound.getChannelData(0);
  const found = [];
  let quiet = sound.sampleRate;  // samples of silence before this one
  for (let i = 0; i < samples.length; i++) {
    if (Math.abs(samples[i]) > 0.1) {
      if (quiet > sound.sampleRate / 2) found.push(i / sound.sampleRate);
      quiet = 0;
    } else {
      quiet++;
    }
  }
  return found;
}
