import type { CreateTriggerRequest, TriggerUpdate } from "@aws-sdk/client-glue";
import type { TagStore } from "../model/tags";
import type { TriggerStore } from "../model/triggers";
import { type Filtered, type Named, names, notification, paging, timeout, unique } from "./members";
import { page } from "./paging";
import {
  description,
  flag,
  list,
  may,
  must,
  name,
  type Operation,
  oneOf,
  operation,
  shape,
  strings,
  tags,
  text,
  whole,
} from "./requests";

const jobState = oneOf(
  ...["STARTING", "RUNNING", "STOPPING", "STOPPED", "SUCCEEDED", "FAILED", "TIMEOUT", "ERROR", "WAITING", "EXPIRED"],
);

const actions = list(
  shape({
    JobName: may(name),
    Arguments: may(strings),
    Timeout: may(timeout),
    SecurityConfiguration: may(name),
    NotificationProperty: may(notification),
    CrawlerName: may(name),
  }),
);

const predicate = shape({
  Logical: may(oneOf("AND", "ANY")),
  Conditions: may(
    list(
      shape({
        LogicalOperator: may(oneOf("EQUALS")),
        JobName: may(name),
        State: may(jobState),
        CrawlerName: may(name),
        CrawlState: may(oneOf("RUNNING", "CANCELLING", "CANCELLED", "SUCCEEDED", "FAILED", "ERROR")),
      }),
      0,
      500,
    ),
  ),
});

const batching = shape({ BatchSize: must(whole(1, 100)), BatchWindow: may(whole(1, 900)) });

/** The operations on triggers. */
export function triggerOperations(triggers: TriggerStore, store: TagStore): Record<string, Operation> {
  const filtered = (request: Filtered) =>
    page(
      triggers.all(request.DependentJobName).filter((each) => store.has("trigger", each.Name!, request.Tags)),
      (each) => each.Name!,
      request,
      200,
    );
  return {
    CreateTrigger: operation(
      {
        Name: must(name),
        WorkflowName: may(name),
        Type: must(oneOf("SCHEDULED", "CONDITIONAL", "ON_DEMAND", "EVENT")),
        Schedule: may(text()),
        Predicate: may(predicate),
        Actions: must(actions),
        Description: may(description),
        StartOnCreation: may(flag),
        Tags: may(tags),
        EventBatchingCondition: may(batching),
      },
      (request: CreateTriggerRequest) => ({ Name: triggers.create(request) }),
    ),
    GetTrigger: operation({ Name: must(name) }, ({ Name }: Named) => ({ Trigger: triggers.get(Name) })),
    GetTriggers: operation({ DependentJobName: may(name), ...paging(200) }, (request: Filtered) => {
      const { items, token } = filtered(request);
      return { Triggers: items, NextToken: token };
    }),
    BatchGetTriggers: operation({ TriggerNames: names }, ({ TriggerNames }: { TriggerNames: string[] }) => ({
      Triggers: unique(TriggerNames).flatMap((each) => triggers.find(each) ?? []),
      TriggersNotFound: unique(TriggerNames).filter((each) => !triggers.find(each)),
    })),
    ListTriggers: operation({ DependentJobName: may(name), Tags: may(tags), ...paging(200) }, (request: Filtered) => {
      const { items, token } = filtered(request);
      return { TriggerNames: items.map((each) => each.Name!), NextToken: token };
    }),
    UpdateTrigger: operation(
      {
        Name: must(name),
        TriggerUpdate: must(
          shape({
            Name: may(name),
            Description: may(description),
            Schedule: may(text()),
            Actions: may(actions),
            Predicate: may(predicate),
            EventBatchingCondition: may(batching),
          }),
        ),
      },
      ({ Name, TriggerUpdate }: Named & { TriggerUpdate: TriggerUpdate }) => ({
        Trigger: triggers.update(Name, TriggerUpdate),
      }),
    ),
    DeleteTrigger: operation({ Name: must(name) }, ({ Name }: Named) => {
      triggers.delete(Name);
      return { Name };
    }),
    StartTrigger: operation({ Name: must(name) }, ({ Name }: Named) => {
      triggers.start(Name);
      return { Name };
    }),
    StopTrigger: operation({ Name: must(name) }, ({ Name }: Named) => {
      triggers.stop(Name);
      return { Name };
    }),
  };
}
