// A film transcoded by a fleet: four `spool worker`s, their jobs in a real PostgreSQL, their files in a real Swift.
import assert from 'node:assert/strict';
import {execFile, spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdirSync, readFileSync, writeFileSync} from 'node:fs';
import path from 'node:path';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';
import {promisify} from 'node:util';

const WORKERS = 4;
const servers = path.join(path.dirname(fileURLToPath(import.meta.url)), '../servers');
const spool = path.resolve(process.env.SPOOL ?? 'build/dev/spool');

// Runs `program` until end(), which asks for that by `ask`. `said`: the first line that it prints.
async function start(program, words, ask, options = {}) {
  const process = spawn(program, words, {stdio: ['pipe', 'pipe', 'inherit'], ...options});
  const ended = once(process, 'exit');
  const end = async () => { ask(process); return ended; };
  const said = await Promise.race([once(createInterface(process.stdout), 'line'), ended]);
  if (process.exitCode !== null) throw new Error(`${program} ended with ${process.exitCode}`);
  return {said: said[0], end};
}

async function answer(url, options) {
  const got = await fetch(url, options);
  if (!got.ok) throw new Error(`${options?.method ?? 'GET'} ${url}: ${got.status} ${await got.text()}`);
  return got;
}

// What Swift's own interface can do with the bucket.
class Bucket {
  constructor({storage_url, token, bucket}) {
    this.url = `${storage_url}/${bucket}`;
    this.headers = {'X-Auth-Token': token};
  }
  put(name, file) {
    return answer(`${this.url}/${name}`, {method: 'PUT', headers: this.headers, body: readFileSync(file)});
  }
  // Browsers may read it, whatever page they are on.
  open() {
    const rules = {'X-Container-Read': '.r:*', 'X-Container-Meta-Access-Control-Allow-Origin': '*'};
    return answer(this.url, {method: 'POST', headers: {...this.headers, ...rules}});
  }
  async fetchAll(prefix, folder) {
    const list = await answer(`${this.url}?format=json&prefix=${prefix}`, {headers: this.headers});
    for (const {name} of await list.json()) {
      const file = path.join(folder, name.slice(prefix.length));
      mkdirSync(path.dirname(file), {recursive: true});
      writeFileSync(file, Buffer.from(await (await answer(`${this.url}/${name}`)).arrayBuffer()));
    }
  }
}

// Transcodes `film` and leaves a copy of the result in `folder`. `films`: its place in the bucket, for browsers. All of the
// fleet runs until close().
export async function transcodeOnFleet(film, folder) {
  const running = [];
  const close = async () => { for (const {end} of running.reverse()) await end(); };
  try {
    return {...await transcode(film, folder, running), close};
  } catch (error) {
    await close();
    throw error;
  }
}

async function transcode(film, folder, running) {
  running.push(await start(path.join(servers, 'postgres'), ['--no-fsync'], (it) => it.stdin.end()));
  const store = running.at(-1).said;
  running.push(await start(path.join(servers, 'swift'), [], (it) => it.kill()));
  const swift = JSON.parse(running.at(-1).said);
  const bucket = new Bucket(swift);
  await bucket.put('film.mp4', film);
  await bucket.open();

  const kept = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('SPOOL_')));
  const options = {env: {...kept, SPOOL_STORE: store, SPOOL_OBJECTS: `s3://${swift.bucket}?endpoint=${swift.endpoint}&region=${swift.region}`,
    AWS_ACCESS_KEY_ID: swift.access_key, AWS_SECRET_ACCESS_KEY: swift.secret_key}};
  const ask = async (...words) => JSON.parse((await promisify(execFile)(spool, [...words, '--json'], options)).stdout);
  await promisify(execFile)(spool, ['migrate'], options);
  for (let i = 0; i < WORKERS; i++) running.push(worker(options));

  const {id} = await ask('submit', 'transcode', '-i', 'object:film.mp4', 'ladder=web');
  let ended = false;
  const watched = ask('watch', id).finally(() => { ended = true; });
  const seen = new Set();
  while (!ended)
    for (const {pid, running: jobs} of (await ask('workers')).workers) if (jobs.length) seen.add(pid);
  await watched;
  assert.equal(seen.size, WORKERS, `of ${WORKERS} workers ${seen.size} had jobs`);
  await bucket.fetchAll(`jobs/${id}/`, folder);
  return {films: `${bucket.url}/jobs/${id}`};
}

function worker(options) {
  const process = spawn(spool, ['worker', '--slots', '1'], {stdio: ['ignore', 'inherit', 'pipe'], ...options});
  const ended = once(process, 'exit');
  const said = [];
  process.stderr.on('data', (data) => said.push(data));
  return {end: async () => {
    process.kill();
    assert.deepEqual(await ended, [0, null], Buffer.concat(said).toString());
  }};
}
