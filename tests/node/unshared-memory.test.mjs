// The shared cases where the runtime shares no memory with the addon, as Electron does not: the
// addon is asked each time. `make test` tries them on the file store, TESTS=all on every store.

import { createRequire } from 'node:module';
import { join } from 'node:path';

import { PACKAGE } from './support.mjs';

const { NativeAuthManager } = createRequire(import.meta.url)(join(PACKAGE, 'native.js'));
NativeAuthManager.prototype.version = () => null;

const { run } = await import('./cases.mjs');
await run(process.env.TESTS === 'all' ? undefined : ['file']);
await import('./requests.test.mjs');
