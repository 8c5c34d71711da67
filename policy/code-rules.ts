import type * as aws from "@pulumi/aws";
import { each } from "./rule";

const RUNTIMES = ["nodejs24.x", "nodejs26.x"];

export const functionRules = [
  each<aws.lambda.FunctionArgs>(
    "function-runtime",
    "lambda/function:Function",
    "A function names a runtime that AWS supports (Lambda.2).",
    ({ runtime }, say) => {
      if (!RUNTIMES.includes(String(runtime))) say(`the runtime must be one of ${RUNTIMES}, not ${runtime}`);
    },
  ),
  each<aws.lambda.FunctionArgs>(
    "function-logs",
    "lambda/function:Function",
    "A function logs JSON into a group of the stack; a group that Lambda creates keeps logs forever.",
    ({ loggingConfig }, say) => {
      if (loggingConfig?.logFormat !== "JSON") say("logFormat must be JSON");
      if (!loggingConfig?.logGroup) say("logGroup must name a group of the stack");
    },
  ),
  each<aws.lambda.PermissionArgs>(
    "function-called-by-known",
    "lambda/permission:Permission",
    "A function's caller is named by ARN or account, not only by service, and never is everybody (Lambda.1).",
    ({ principal, sourceArn, sourceAccount }, say) => {
      if (principal === "*") say("principal must be a service, not everybody");
      if (!sourceArn && !sourceAccount) say("sourceArn or sourceAccount must be set");
    },
  ),
  each<aws.lambda.FunctionEventInvokeConfigArgs>(
    "function-failures-kept",
    "lambda/functionEventInvokeConfig:FunctionEventInvokeConfig",
    "Lambda repeats failed calls of a function only for a while, and keeps those that fail on their last try.",
    (config, say) => {
      if (!config.destinationConfig?.onFailure?.destination) say("onFailure must name a queue");
      if (config.maximumRetryAttempts === undefined) say("maximumRetryAttempts must be set");
      if (!(Number(config.maximumEventAgeInSeconds) <= 3600)) say("maximumEventAgeInSeconds must be at most an hour");
    },
  ),
];

const SPARK_VERSIONS = /^([5-9]|\d{2,})\.\d+$/;

export const glueRules = [
  each<aws.glue.JobArgs>(
    "job-bounded",
    "glue/job:Job",
    "A job has one run at a time and a timeout; the ledger starts the next attempt, not Glue.",
    ({ timeout, maxRetries, executionProperty }, say) => {
      if (!timeout) say("timeout must be set");
      if (maxRetries !== 0) say("maxRetries must be 0");
      if (executionProperty?.maxConcurrentRuns !== 1) say("maxConcurrentRuns must be 1");
    },
  ),
  each<aws.glue.JobArgs>(
    "job-version",
    "glue/job:Job",
    "A job runs on a version that Glue supports: Spark 5.0 or later, Python shell 3.9 (Glue.4).",
    ({ command, glueVersion }, say) => {
      if (command.name === "pythonshell") {
        if (command.pythonVersion !== "3.9") say(`pythonVersion must be 3.9, not ${command.pythonVersion}`);
      } else if (!SPARK_VERSIONS.test(glueVersion ?? "")) say(`glueVersion must be 5.0 or later, not ${glueVersion}`);
    },
  ),
  each<aws.glue.TriggerArgs>(
    "trigger-not-fired",
    "glue/trigger:Trigger",
    "An ON_DEMAND trigger is disabled; otherwise each deploy starts a run.",
    ({ type, enabled }, say) => {
      if (type === "ON_DEMAND" && enabled !== false) say("enabled must be false");
    },
  ),
  each<aws.glue.WorkflowArgs>(
    "workflow-one-run",
    "glue/workflow:Workflow",
    "A workflow has one run at a time: two would write the same days.",
    ({ maxConcurrentRuns }, say) => {
      if (maxConcurrentRuns !== 1) say(`maxConcurrentRuns must be 1, not ${maxConcurrentRuns}`);
    },
  ),
];
