#!/usr/bin/env node
// `npx music-streams VERB`, and what every npm script of a command runs. Plain JavaScript: it also starts where no
// package is installed yet.
process.argv.splice(2, 0, "cli/main.ts");
await import("../local/toolchain/bootstrap.mjs");
