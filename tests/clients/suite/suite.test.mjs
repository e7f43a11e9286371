import { runConformanceTests } from '@durable-streams/server-conformance-tests';

runConformanceTests({ baseUrl: process.env.SUITE_URL, longPollTimeoutMs: 1_000 });
