import type { PageRequest } from "./paging";
import { list, may, must, name, shape, text, whole } from "./requests";

/** Request members that several operations share. */
export const notification = shape({ NotifyDelayAfter: may(whole(1)) });
export const timeout = whole(1);
export const paging = (most: number) => ({ NextToken: may(text()), MaxResults: may(whole(1, most)) });
export const names = must(list(name));

export type Named = { Name: string };
export type Filtered = PageRequest & { Tags?: Record<string, string>; DependentJobName?: string };

export const unique = (values: readonly string[]) => [...new Set(values)];
