// Durable Streams' own suite for servers. `suite/scope.json` says which of its tests are about
// reading, and why the others are out of scope; a test that it doesn't know of is a failure.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

const here = import.meta.dirname;
const scope = JSON.parse(readFileSync(path.join(here, 'suite/scope.json'), 'utf8'));
const ALL_KNOWN = 'every test of the suite is run or out of scope';

const outside = Object.values(scope.outOfScope).flat();
const run = scope.run;

/** The results of a suite's tests, by name. */
async function outcomes() {
  const folder = await mkdtemp(path.join(tmpdir(), 'suite-'));
  try {
    const report = path.join(folder, 'report.json');
    const escaped = outside.map((name) => name.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&'));
    const wanted = ['-t', `^(?!(${escaped.join('|')})$)`];
    const child = spawn(process.execPath, [path.join(here, 'node_modules/vitest/vitest.mjs'), 'run', '--root', path.join(here, 'suite'), '--reporter=json', `--outputFile=${report}`, '--testTimeout=20000', ...wanted], {
      env: { ...process.env, SUITE_URL: process.env.BASE_URL }, // Vite has a BASE_URL of its own
      stdio: ['ignore', 2, 2],
    });
    await once(child, 'exit');
    const { testResults } = JSON.parse(await readFile(report, 'utf8'));
    return new Map(testResults.flatMap((file) => file.assertionResults).map((test) => [test.fullName, test]));
  } finally {
    await rm(folder, { recursive: true });
  }
}

const names = [ALL_KNOWN, ...run];
if (process.argv[2] === '--list') {
  console.log(names.join('\n'));
} else {
  const say = (scenario, error = null) => console.log(JSON.stringify({ scenario, error }));
  const came = await outcomes();
  const known = new Set([...run, ...outside]);
  const unknown = [...came.keys()].filter((name) => !known.has(name));
  const absent = [...known].filter((name) => !came.has(name));
  try {
    assert.deepEqual({ unknown, absent }, { unknown: [], absent: [] });
    say(ALL_KNOWN);
  } catch (error) {
    say(ALL_KNOWN, error.message);
  }
  for (const name of run) {
    const test = came.get(name);
    say(name, test?.status === 'passed' ? null : (test?.failureMessages.join('\n') ?? 'there is no such test'));
  }
}
