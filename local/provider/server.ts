import { isDeepStrictEqual } from "node:util";
import {
  type handleUnaryCall,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type sendUnaryData,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { version } from "@pulumi/aws/package.json";
import { runtime } from "@pulumi/pulumi";
import { PluginInfo } from "@pulumi/pulumi/proto/plugin_pb";
import * as services from "@pulumi/pulumi/proto/provider_grpc_pb";
import * as messages from "@pulumi/pulumi/proto/provider_pb";
import { Empty } from "google-protobuf/google/protobuf/empty_pb";
import { Struct } from "google-protobuf/google/protobuf/struct_pb";
import { type Properties, UNKNOWN } from "./kind";
import type { LocalProvider } from "./provider";

/** A provider that a Pulumi engine can attach to. */
export interface ServedProvider {
  /** The port on 127.0.0.1, for `PULUMI_DEBUG_PROVIDERS=aws:PORT`. */
  port: number;
  close(): void;
}

/**
 * Serves the local provider to a real Pulumi engine, over gRPC on loopback.
 *
 * Pulumi's own server for providers in TypeScript (`provider.main`) does not support previews: a resource that changes
 * would have no outputs, and all resources that depend on it would seem to change too.
 */
export async function serveProvider(provider: LocalProvider): Promise<ServedProvider> {
  const server = new Server();
  server.addService(
    // The generated types leave out the service that the module exports.
    (services as unknown as { ResourceProviderService: ServiceDefinition }).ResourceProviderService,
    operationsOf(provider),
  );
  const port = await new Promise<number>((resolve, reject) => {
    const credentials = ServerCredentials.createInsecure();
    server.bindAsync("127.0.0.1:0", credentials, (error, bound) => (error ? reject(error) : resolve(bound)));
  });
  return { port, close: () => server.forceShutdown() };
}

function operationsOf(provider: LocalProvider): UntypedServiceImplementation {
  return {
    // This accepts no secrets, resources or outputs, so requests hold plain values, assets and unknown values only. The
    // engine itself remembers what is secret.
    handshake: unary(async () => new messages.ProviderHandshakeResponse()),
    configure: unary(async () => new messages.ConfigureResponse().setSupportspreview(true)),
    attach: unary(async () => new Empty()),
    cancel: unary(async () => new Empty()),
    // The version of the real provider: the program requires it.
    getPluginInfo: unary(async () => new PluginInfo().setVersion(version)),

    check: unary(async (request: messages.CheckRequest) => {
      const olds = plain(request.getOlds());
      const { inputs, failures = [] } = await provider.check(request.getUrn(), olds, plain(request.getNews()));
      const list = failures.map(({ property, reason }) =>
        new messages.CheckFailure().setProperty(property).setReason(reason),
      );
      return new messages.CheckResponse().setInputs(struct(inputs)).setFailuresList(list);
    }),

    diff: unary(async (request: messages.DiffRequest) => {
      const [olds, news] = [plain(request.getOlds()), plain(request.getNews())];
      const diff = await provider.diff(request.getId(), request.getUrn(), olds, news);
      const { DIFF_SOME, DIFF_NONE } = messages.DiffResponse.DiffChanges;
      const response = new messages.DiffResponse()
        .setChanges(diff.changes ? DIFF_SOME : DIFF_NONE)
        .setReplacesList(diff.replaces ?? [])
        .setDeletebeforereplace(diff.deleteBeforeReplace ?? false)
        .setHasdetaileddiff(true);
      // The engine applies `replaceOnChanges` to these paths.
      for (const path of diff.paths) {
        const { UPDATE, UPDATE_REPLACE } = messages.PropertyDiff.Kind;
        const kind = diff.replaces?.includes(path) ? UPDATE_REPLACE : UPDATE;
        response.getDetaileddiffMap().set(path, new messages.PropertyDiff().setKind(kind).setInputdiff(true));
      }
      return response;
    }),

    create: unary(async (request: messages.CreateRequest) => {
      const inputs = plain(request.getProperties());
      // Outputs besides the inputs are unknown before the resource exists.
      if (request.getPreview()) return new messages.CreateResponse().setProperties(struct(inputs));
      const live = withAssets(inputs);
      const { id, outs } = await provider.create(request.getUrn(), live);
      return new messages.CreateResponse().setId(id).setProperties(struct(asSent(outs, live, inputs)));
    }),

    read: unary(async (request: messages.ReadRequest) => {
      const inputs = plain(request.getInputs());
      const { id, props } = await provider.read(request.getId(), request.getUrn(), plain(request.getProperties()));
      const response = new messages.ReadResponse();
      if (id === undefined) return response;
      const changed = Object.keys(inputs).filter((key) => !isDeepStrictEqual(inputs[key], props?.[key]));
      const found = Object.fromEntries(changed.map((key) => [key, props?.[key]]));
      return response
        .setId(id)
        .setProperties(struct(props))
        .setInputs(struct({ ...inputs, ...found }));
    }),

    update: unary(async (request: messages.UpdateRequest) => {
      const [olds, inputs] = [plain(request.getOlds()), plain(request.getNews())];
      if (request.getPreview()) {
        const outs = previewOutputs(olds, plain(request.getOldInputs()), inputs);
        return new messages.UpdateResponse().setProperties(struct(outs));
      }
      const live = withAssets(inputs);
      const { outs } = await provider.update(request.getId(), request.getUrn(), olds, live);
      return new messages.UpdateResponse().setProperties(struct(asSent(outs, live, inputs)));
    }),

    delete: unary(async (request: messages.DeleteRequest) => {
      await provider.delete(request.getId(), request.getUrn(), plain(request.getProperties()));
      return new Empty();
    }),

    invoke: unary(async (request: messages.InvokeRequest) => {
      const { outputs } = await provider.invoke(request.getTok(), plain(request.getArgs()));
      return new messages.InvokeResponse().setReturn(struct(outputs));
    }),
  };
}

/** A method as gRPC calls it. The engine prints the error that it throws. */
function unary<Request, Response>(method: (request: Request) => Promise<Response>): handleUnaryCall<Request, Response> {
  return ({ request }, answer: sendUnaryData<Response>) => {
    method(request).then(
      (response) => answer(null, response),
      ({ name, message }: Error) => {
        const details = name === "Error" || message.startsWith(name) ? message : `${name}: ${message}`;
        answer({ code: status.UNKNOWN, details });
      },
    );
  };
}

function plain(sent: Struct | undefined): Properties {
  return sent?.toJavaScript() ?? {};
}

function struct(properties: Properties | undefined): Struct {
  // Struct has no undefined; JSON leaves it out.
  return Struct.fromJavaScript(JSON.parse(JSON.stringify(properties ?? {})));
}

/** Replaces the records in which assets and archives are sent by Pulumi's objects. */
function withAssets(inputs: Properties): Properties {
  return Object.fromEntries(
    Object.entries(inputs).map(([key, value]) => [key, runtime.deserializeProperty(value, true)]),
  );
}

/** Outputs with the inputs in the form in which they were sent. */
function asSent(outs: Properties, live: Properties, inputs: Properties): Properties {
  return Object.fromEntries(
    Object.entries(outs).map(([key, value]) => [key, value === live[key] ? inputs[key] : value]),
  );
}

/** The outputs of an update in a preview: the new inputs, the old ARNs and URLs. All others may change: unknown. */
function previewOutputs(olds: Properties, oldInputs: Properties, inputs: Properties): Properties {
  const added = Object.keys(olds).filter((key) => !(key in oldInputs));
  const kept = added.map((key) => [key, /^(arn|url|\w+Arn)$/.test(key) ? olds[key] : UNKNOWN]);
  return { ...Object.fromEntries(kept), ...inputs };
}
