// The workers of a cluster are processes that share one login.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { TIMES, worlds } from './chaos.mjs';
import { child, within } from './support.mjs';

const CLUSTER = `
  const cluster = require('node:cluster');
  const { on, once } = require('node:events');
  const [options, seed] = process.argv.slice(1).map((text) => JSON.parse(text));
  const { AuthManager } = require('./dist/index.js');

  async function work() {
    const { chance, request, someCall } = await import('../tests/node/chaos.mjs');
    const random = chance(seed * 10 + cluster.worker.id);
    const manager = new AuthManager(options);
    const orders = on(process, 'message');
    process.send('ready');
    for await (const [order] of orders) {
      if (order === 'leave') {
        // In the middle of whatever it comes to.
        someCall(options, manager, random).catch(() => {});
        await new Promise((resolve) => setTimeout(resolve, random() * 8));
        process.exit(0);
      }
      for (let count = 0; count < 4; count += 1) await someCall(options, manager, random);
      process.send(order === 'end' ? await request(options.issuer, manager) : 'played');
    }
  }

  async function lead() {
    const { KILLS } = await import('../tests/node/chaos.mjs');
    const post = (name) =>
      fetch(options.issuer + '/control/' + name, { method: 'POST', body: '{}' });
    const ask = async (order) => {
      const answers = Object.values(cluster.workers).map((worker) => once(worker, 'message'));
      for (const worker of Object.values(cluster.workers)) worker.send(order);
      return (await Promise.all(answers)).map(([answer]) => answer);
    };
    const start = () => once(cluster.fork(), 'message');
    await Promise.all([start(), start(), start(), start()]);
    for (let kills = 0; kills < KILLS; kills += 1) {
      await ask('play');
      await post('kill_access');
      const leaving = Object.values(cluster.workers)[0];
      leaving.send('leave');
      const [code] = await once(leaving, 'exit');
      if (code !== 0) throw new Error('a worker ended with ' + code);
      await start();
    }
    const answers = await ask('end');
    if (!answers.every((answer) => answer === true)) throw new Error(answers.join());
    for (const worker of Object.values(cluster.workers)) worker.disconnect();
    await once(cluster, 'disconnect');
  }

  (cluster.isPrimary ? lead().then(() => console.log('done')) : work());
`;

test('the workers of a cluster share a login', async () => {
  for await (const { options, seed } of worlds('the workers of a cluster', 1)) {
    const args = [JSON.stringify(options), `${seed}`];
    const { process: running, ended } = child(CLUSTER, { args, type: 'commonjs' });
    try {
      const end = await within(60_000 * TIMES, `the end of the cluster (seed ${seed})`, ended);
      assert.deepEqual(end, { code: 0, signal: null, stdout: 'done\n', stderr: '' });
    } finally {
      running.kill('SIGKILL');
    }
  }
});
