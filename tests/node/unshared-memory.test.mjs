// The shared cases where the runtime shares no memory with the addon, as Electron does not: the
// addon is asked each time.

import { createRequire } from 'node:module';
import { join } from 'node:path';

import { PACKAGE } from './support.mjs';

const { NativeAuthManager } = createRequire(import.meta.url)(join(PACKAGE, 'native.js'));
NativeAuthManager.prototype.version = () => null;

await import('./cases.test.mjs');
await import('./requests.test.mjs');
