// The shared cases on every store: see tests/README.md.

import { run } from './cases.mjs';

await run();
