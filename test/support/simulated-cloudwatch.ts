import assert from "node:assert/strict";
import { withMetrics } from "../../runtime/embedded-metrics";
import { observedTick } from "../../runtime/observe";
import { settle } from "../../runtime/settle";
import { type ActorOptions, createSimulation } from "./simulated-pipeline";

/** A value of a metric at one time. Dimensions have the form `Name=value`, sorted and joined by commas. */
export interface Datapoint {
  namespace: string;
  metric: string;
  dimensions: string;
  atMs: number;
  value: number;
}

/** An alarm as the program describes it. */
export interface Alarm {
  name: string;
  namespace: string;
  metricName: string;
  dimensions?: Record<string, string>;
  statistic: "Sum" | "Maximum";
  period: number;
  evaluationPeriods: number;
  datapointsToAlarm: number;
  comparisonOperator: "GreaterThanOrEqualToThreshold" | "LessThanThreshold";
  threshold: number;
  treatMissingData: "breaching" | "notBreaching" | "ignore";
}

type Line = Record<string, unknown>;

const MINUTE = 60_000;
const TICK_MS = 5 * MINUTE;

/**
 * The metrics that CloudWatch reads from a line (Amazon CloudWatch User Guide, "Specification: Embedded metric
 * format").
 */
function datapoints(line: Line): Datapoint[] {
  const embedded = line._aws as
    | {
        Timestamp: number;
        CloudWatchMetrics: { Namespace: string; Dimensions: string[][]; Metrics: { Name: string }[] }[];
      }
    | undefined;
  return (embedded?.CloudWatchMetrics ?? []).flatMap(({ Namespace, Dimensions, Metrics }) =>
    Dimensions.flatMap((names) =>
      Metrics.map(({ Name }) => {
        const value = line[Name];
        assert.ok(typeof value === "number", `${Name} of ${line.event}`);
        const dimensions = written(Object.fromEntries(names.map((name) => [name, String(line[name])])));
        return { namespace: Namespace, metric: Name, dimensions, atMs: embedded!.Timestamp, value };
      }),
    ),
  );
}

export const written = (dimensions: Record<string, string> = {}) =>
  Object.entries(dimensions)
    .map((one) => one.join("="))
    .sort()
    .join(",");

/** Whether an alarm is up at a moment (Amazon CloudWatch User Guide, "Evaluating an alarm"). `was`: before it. */
function isUp(alarm: Alarm, points: Datapoint[], nowMs: number, was: boolean): boolean {
  const dimensions = written(alarm.dimensions);
  let breaching = 0;
  let known = false;
  for (let back = 0; back < alarm.evaluationPeriods; back++) {
    const endMs = nowMs - back * alarm.period * 1000;
    const values = points
      .filter(
        ({ namespace, metric, dimensions: own, atMs }) =>
          namespace === alarm.namespace &&
          metric === alarm.metricName &&
          own === dimensions &&
          atMs <= endMs &&
          atMs > endMs - alarm.period * 1000,
      )
      .map(({ value }) => value);
    breaching += breaches(alarm, values) ? 1 : 0;
    known ||= values.length > 0;
  }
  if (!known && alarm.treatMissingData === "ignore") return was;
  return breaching >= alarm.datapointsToAlarm;
}

function breaches(alarm: Alarm, values: number[]): boolean {
  if (values.length === 0) return alarm.treatMissingData === "breaching";
  const value = alarm.statistic === "Sum" ? values.reduce((sum, one) => sum + one, 0) : Math.max(...values);
  return alarm.comparisonOperator === "LessThanThreshold" ? value < alarm.threshold : value >= alarm.threshold;
}

/**
 * A pipeline in memory with the program's alarms. Reads the pipeline's log lines as CloudWatch does, and adds the
 * metrics of Lambda and SQS.
 */
export function createStory(alarms: Alarm[], namespace: string) {
  const simulation = createSimulation();
  const { clock } = simulation;
  const points: Datapoint[] = [];
  const raised = new Set<string>();
  /** The names of alarms that are up. */
  const up = new Set<string>();
  let deadLetters = 0;
  let isLost = false;

  const tell = (service: string, metric: string, dimension: string, value: number) =>
    points.push({ namespace: service, metric, dimensions: dimension, atMs: clock.now(), value });
  const look = () => {
    for (const alarm of alarms) {
      if (!isUp(alarm, points, clock.now(), up.has(alarm.name))) up.delete(alarm.name);
      else {
        up.add(alarm.name);
        raised.add(alarm.name);
      }
    }
  };

  async function invoke(what: "sense" | "archive", options: ActorOptions): Promise<void> {
    const actor = simulation.actor(options);
    const isHeard = !isLost;
    isLost = false;
    actor.world.log = (line) => {
      if (isHeard) points.push(...datapoints(withMetrics(line, namespace, clock.now())));
    };
    const act = what === "sense" ? observedTick : settle;
    const ended = await actor.run<unknown>((world) => act(world, MINUTE));
    const failed = ended !== null && typeof ended === "object" && "threw" in ended;
    tell("AWS/Lambda", "Invocations", `FunctionName=music-streams-${what}`, 1);
    tell("AWS/Lambda", "Errors", `FunctionName=music-streams-${what}`, failed ? 1 : 0);
  }

  return {
    simulation,
    points,
    /** The names of alarms that were raised at any time since the last call. */
    taken(): string[] {
      const names = [...raised].sort();
      raised.clear();
      return names;
    },
    look,
    isUp: (name: string) => up.has(name),
    /** CloudWatch gets no log line of the next call. */
    loseLines: () => {
      isLost = true;
    },
    leaveDeadLetter: () => void deadLetters++,
    purgeDeadLetters: () => {
      deadLetters = 0;
    },
    /** The run in flight ends, and its event calls archive. */
    async end(kind: Parameters<typeof simulation.finish>[0], options: ActorOptions = {}): Promise<void> {
      if (simulation.finish(kind)) await invoke("archive", options);
    },
    /** The schedule ticks once, and five minutes pass. */
    async tick(options: ActorOptions = {}): Promise<void> {
      await invoke("sense", options);
      tell("AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName=music-streams-dead-letters", deadLetters);
      look();
      clock.advance(TICK_MS);
    },
    /** Time without a tick. */
    pass(minutes: number): void {
      for (let gone = 0; gone < minutes; gone += 5) {
        clock.advance(TICK_MS);
        look();
      }
    },
  };
}

export type Story = ReturnType<typeof createStory>;
