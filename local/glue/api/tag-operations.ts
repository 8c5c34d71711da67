import { invalidInput } from "../errors";
import type { TagStore } from "../model/tags";
import { list, must, type Operation, operation, tags, text } from "./requests";

const arn = must(text({ min: 1, max: 10240, pattern: /^arn:aws(-(cn|us-gov|iso(-[bef])?))?:glue:.*/s }));

/** The operations on tags of jobs, triggers and workflows. */
export function tagOperations(store: TagStore): Record<string, Operation> {
  return {
    TagResource: operation(
      { ResourceArn: arn, TagsToAdd: must(tags) },
      ({ ResourceArn, TagsToAdd }: { ResourceArn: string; TagsToAdd: Record<string, string> }) => {
        if (Object.keys(TagsToAdd).some((key) => key.toLowerCase().startsWith("aws:")))
          throw invalidInput("Tag keys starting with 'aws:' are reserved for system use");
        store.add(ResourceArn, TagsToAdd);
        return {};
      },
    ),
    UntagResource: operation(
      { ResourceArn: arn, TagsToRemove: must(list(text({ min: 1, max: 128 }), 0, 50)) },
      ({ ResourceArn, TagsToRemove }: { ResourceArn: string; TagsToRemove: string[] }) => {
        store.remove(ResourceArn, TagsToRemove);
        return {};
      },
    ),
    GetTags: operation({ ResourceArn: arn }, ({ ResourceArn }: { ResourceArn: string }) => ({
      Tags: store.get(ResourceArn),
    })),
  };
}
