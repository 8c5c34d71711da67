/** Which room may import which: `npm run check` fails for any other import, and gives the reason that stands here. */
const rooms = [
  // [room, what it may import beside itself, why]
  ["index.ts", ["infra/"], "index.ts is the system on one screen: it puts components of infra/ together"],
  [
    "infra/",
    ["runtime/", "layout.json"],
    "infra/ describes what exists in AWS: it needs the Lambdas' callbacks and nothing local",
  ],
  ["runtime/", ["layout.json"], "runtime/ is serialised into the Lambdas: what it imports goes to AWS with it"],
  ["policy/", ["layout.json"], "policy/ judges the program from outside: it must not share code with it"],
  ["terminal/", [], "terminal/ lies below all rooms: it knows terminals, and nothing of the pipeline"],
  ["local/glue/", ["terminal/"], "local/glue/ stands for AWS Glue: the cloud hands it what it needs, as options"],
  [
    "local/glue/api/",
    ["local/glue/model/", "local/glue/errors.ts", "local/glue/options.ts"],
    "local/glue/api/ takes requests in: the model alone starts processes",
  ],
  [
    "local/glue/model/",
    ["local/glue/run/", "local/glue/errors.ts", "local/glue/options.ts"],
    "local/glue/model/ decides what runs: it knows no HTTP",
  ],
  [
    "local/glue/run/",
    ["local/glue/errors.ts", "local/glue/options.ts"],
    "local/glue/run/ runs what it is given: it knows no job, trigger or workflow beyond one run",
  ],
  [
    "local/provider/",
    ["terminal/"],
    "local/provider/ stands for Pulumi's AWS provider: the cloud hands it what it needs, as options",
  ],
  ["local/toolchain/", ["terminal/"], "local/toolchain/ installs what all others run with: it can't need them"],
  ["local/sample/", ["terminal/"], "local/sample/ only writes files: it knows no cloud"],
  [
    "local/",
    ["terminal/", "layout.json"],
    "local/ is the cloud: commands use it, never the reverse; deploying alone loads index.ts, by its path",
  ],
  ["console/", ["runtime/", "terminal/"], "console/ only draws: cli/ starts it and hands it what it shows"],
  [
    "cli/",
    ["runtime/", "terminal/", "local/", "console/", "layout.json"],
    "cli/ works on a pipeline from outside: not on its definition, and not on tests",
  ],
  [
    "bench/",
    ["terminal/", "local/", "runtime/", "cli/cost/", "test/support/"],
    "bench/ measures the jobs on the local cloud, and the Lambdas' decisions in the simulated services of the tests",
  ],
];

const own = /^(index\.ts|layout\.json|(infra|runtime|policy|terminal|local|cli|test|bench|console)\/)/.source;
const startingWith = (paths) => `^(${paths.map((path) => path.replace(".", "\\.")).join("|")})`;

module.exports = {
  forbidden: [
    ...rooms.map(([room, allowed, reason]) => ({
      name: `${room.replace(/\/$/, "").replaceAll("/", "-")}-imports`,
      comment: `${reason}. It may import ${["itself", ...allowed].join(", ")}.`,
      severity: "error",
      from: { path: startingWith([room]), ...subRoomsOf(room) },
      to: { path: own, pathNot: startingWith([room, ...allowed]) },
    })),
    {
      name: "no-cycles",
      comment: "Two files that import each other can only be understood together. Move what both need to a third.",
      severity: "error",
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^(node_modules|\\.local)/" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
  },
};

/** A room with sub-rooms has a rule of its own, which is not for them. */
function subRoomsOf(room) {
  const below = rooms.map(([other]) => other).filter((other) => other !== room && other.startsWith(room));
  return below.length === 0 ? {} : { pathNot: startingWith(below) };
}
