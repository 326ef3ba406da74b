// watch.mjs FOLDER PORT: the page of scripts/watch.
import path from 'node:path';
import {fileURLToPath} from 'node:url';
import {serve} from './server.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const [folder, port] = process.argv.slice(2);
const {url} = await serve({'/film/': folder, '/lib/': path.join(here, 'node_modules'), '/': path.join(here, 'watch')}, Number(port));
console.log(`watch: ${folder} plays on ${url}/index.html (Ctrl-C ends)`);
