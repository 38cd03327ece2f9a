#!/usr/bin/env node
// The command `codex-auth-sdk`.

import { runCommand } from '../native.js';
import { variables } from './variables.js';

// Node ends a process at these signals at once. The command hears them too, and ends by them once
// what is in flight is saved. So Node must do nothing.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});

process.exitCode = runCommand(process.argv.slice(1), variables());
