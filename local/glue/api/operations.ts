import type { JobStore } from "../model/jobs";
import type { JobRuns } from "../model/runs";
import type { TagStore } from "../model/tags";
import type { TriggerStore } from "../model/triggers";
import type { Workflows } from "../model/workflows";
import { jobOperations } from "./job-operations";
import type { Operation } from "./requests";
import { tagOperations } from "./tag-operations";
import { triggerOperations } from "./trigger-operations";
import { workflowOperations } from "./workflow-operations";

/** The model that operations work on. */
interface Model {
  jobs: JobStore;
  runs: JobRuns;
  triggers: TriggerStore;
  workflows: Workflows;
  tags: TagStore;
}

/** Every operation that the local Glue answers itself, by name, in the groups of local/glue/README.md. */
export function operationsByResource(model: Model): Record<string, Record<string, Operation>> {
  const { jobs, runs, triggers, workflows, tags } = model;
  return {
    jobs: jobOperations(jobs, runs, tags),
    triggers: triggerOperations(triggers, tags),
    workflows: workflowOperations(workflows),
    tags: tagOperations(tags),
  };
}
